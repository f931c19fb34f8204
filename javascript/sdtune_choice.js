// Which of a run's files is best: one click for grid, ranking and strength, another to publish.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const choice = (sdtune.choice = {});
    const t = (...given) => sdtune.t(...given);
    let shown = {id: '', state: ''};
    let panel = null;

    choice.draw = function (run) {
        const section = sdtune.byId('sdtune_choice');
        const over = !sdtune.isOn(run);
        if (!over) sdtune.show(section, false);
        if (shown.id === run.id && shown.state === run.state) return;
        shown = {id: run.id, state: run.state};
        if (!panel) frame(section);
        panel.clear();
        if (over) panel.look();
    };

    const path = () => 'runs/' + encodeURIComponent(shown.id) + '/choose';
    const beside = (what) => (address) => address.replace(/choose$/, what);

    function frame(section) {
        const {el} = sdtune;
        panel = sdtune.comparison('choice', {path, above, beside: publishing});
        panel.show = function (found) {
            if (sdtune.isOn(sdtune.view.run)) return false;
            sdtune.show(section, found.files.length > 0 || found.result);
            sdtune.text('sdtune_choice_files', t('Saved files: {n}', {n: found.files.length}));
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

    function above(found) {
        const {el} = sdtune;
        if (!found.published) return [];
        return [
            el('p', {class: 'sdtune-note'}, t('Published. The other files are in the run folder.')),
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

    function publishing(one, seen) {
        const proposed = seen.proposal && seen.proposal.file === one.file;
        const act = () => post('publish', {file: one.file, weight: proposed ? seen.proposal.weight : 1});
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

    async function post(what, body) {
        if (await panel.post(beside(what), body)) sdtune.look();
    }
})(window.sdtune);
