// Which of a run's files is best: one click for grid, ranking and strength, another to publish.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const evaluation = (sdtune.evaluation = {});
    const t = (...args) => sdtune.t(...args);
    let current = {id: '', state: ''};
    let panel = null;

    evaluation.draw = function (run) {
        const section = sdtune.byId('sdtune_choice');
        const ended = !sdtune.isOn(run);
        if (!ended) sdtune.show(section, false);
        if (current.id === run.id && current.state === run.state) return;
        current = {id: run.id, state: run.state};
        if (!panel) frame(section);
        panel.clear();
        if (ended) panel.refresh();
    };

    const path = () => 'runs/' + encodeURIComponent(current.id) + '/choose';
    const beside = (verb) => (address) => address.replace(/choose$/, verb);

    function frame(section) {
        const {el} = sdtune;
        panel = sdtune.comparison('choice', {path, above, beside: publishing, of: () => current.id});
        panel.show = function (status) {
            if (sdtune.isOn(sdtune.view.run)) return false;
            sdtune.show(section, status.files.length > 0 || status.result);
            sdtune.text('sdtune_choice_files', t('Saved files: {n}', {n: status.files.length}));
            return true;
        };
        section.append(
            el(
                'div',
                {class: 'sdtune-head'},
                el('h4', {}, t('Which file is best?')),
                el('span', {class: 'sdtune-soft', id: 'sdtune_choice_files'}),
            ),
            el(
                'p',
                {class: 'sdtune-soft'},
                t(
                    'Draws every saved file with the same prompts and seeds, ranks them with reasons, ' +
                        'and finds the best strength.',
                ),
            ),
            panel.fields(t('Prompts, one a line; empty takes the sample prompts')),
            ...panel.rest(),
        );
    }

    function above(status) {
        const {el} = sdtune;
        if (!status.published) return [];
        return [
            el(
                'p',
                {class: 'sdtune-note', id: 'sdtune_published'},
                t('Published: {file}, now called {name}. The other files are in the run folder.', {
                    file: status.published.file,
                    name: status.published.path.split(/[\\/]/).pop(),
                }),
            ),
            el(
                'div',
                {class: 'sdtune-buttons'},
                el(
                    'button',
                    {type: 'button', class: 'sdtune-button', id: 'sdtune_unpublish', onclick: () => post('unpublish')},
                    t('Take it back'),
                ),
            ),
        ];
    }

    function publishing(ranked, result) {
        const proposed = result.proposal && result.proposal.file === ranked.file;
        const act = () => post('publish', {file: ranked.file, weight: proposed ? result.proposal.weight : 1});
        return sdtune.el(
            'button',
            {
                type: 'button',
                class: 'sdtune-button sdtune-small' + (proposed ? ' sdtune-strong' : ''),
                onclick: act,
                title: t('Give it the final name, write its card, put the others into the run folder'),
            },
            t('Publish'),
        );
    }

    async function post(verb, body) {
        const answer = await panel.post(beside(verb), body);
        if (!answer) return;
        sdtune.refresh();
        const kept = answer.kept || [];
        if (kept.length) panel.say(t('Kept, because you made or changed it since: {files}', {files: kept.join(', ')}));
    }
})(window.sdtune);
