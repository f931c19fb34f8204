// Every run there is, and what can be done with it.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const runs = (sdtune.runs = {});
    const t = (...args) => sdtune.t(...args);
    let drawn = '';
    let compared = ''; // the run that is to be compared with another

    runs.draw = function (list) {
        const place = sdtune.byId('sdtune_runs');
        const mark =
            JSON.stringify(
                list.map((run) => [run.id, run.state, run.step, run.updated, run.resumable, run.id === shownId()]),
            ) + compared;
        if (!place || mark === drawn || place.querySelector('[data-asked]')) return;
        drawn = mark;
        const sorted = list.slice().sort((a, b) => (b.updated || 0) - (a.updated || 0));
        place.replaceChildren(...(sorted.length ? [sdtune.el('h4', {}, t('Runs')), hint(), table(sorted)] : []));
    };

    const hint = () =>
        sdtune.el(
            'p',
            {class: 'sdtune-soft', hidden: !compared},
            t('Choose the run to compare {name} with.', {name: compared}),
        );

    const shownId = () => sdtune.view.chosen || (sdtune.view.run || {}).id;

    function table(list) {
        const {el} = sdtune;
        const head = el(
            'tr',
            {},
            ...['Name', 'Method', 'State', 'Step', 'When', ''].map((name) => el('th', {scope: 'col'}, t(name))),
        );
        return el(
            'table',
            {class: 'sdtune-table'},
            el('thead', {}, head),
            el('tbody', {}, ...list.slice(0, 50).map(row)),
        );
    }

    function row(run) {
        const {el} = sdtune;
        const cell = (name, ...content) => el('td', {'data-label': t(name)}, ...content);
        const line = el(
            'tr',
            {},
            cell('Name', el('b', {}, run.id)),
            cell('Method', t(sdtune.method(run.method).title || '')),
            cell('State', el('span', {class: 'sdtune-chip sdtune-is-' + run.state}, sdtune.stateName(run.state))),
            cell('Step', run.total_steps ? `${run.step} / ${run.total_steps}` : '–'),
            cell('When', when(run.updated)),
            actions(run),
        );
        line.classList.toggle('sdtune-shown', run.id === shownId());
        return line;
    }

    function when(seconds) {
        if (!seconds) return '–';
        const date = new Date(seconds * 1000);
        const today = date.toDateString() === new Date().toDateString();
        return today ? date.toLocaleTimeString([], {hour: '2-digit', minute: '2-digit'}) : date.toLocaleDateString();
    }

    function actions(run) {
        const {el} = sdtune;
        const on = sdtune.isOn(run);
        const button = (label, title, act, extra) =>
            el(
                'button',
                {type: 'button', class: 'sdtune-button sdtune-small ' + (extra || ''), title: t(title), onclick: act},
                t(label),
            );
        return el(
            'td',
            {class: 'sdtune-actions'},
            !on &&
                run.resumable &&
                button('Resume', 'Go on from the last resume point', () => post(run, 'resume', 'POST')),
            button('Show', 'Show this run above', () => sdtune.choose(run.id)),
            button('Use settings', 'Fill the form with the settings of this run', () => sdtune.form.use(run.id)),
            ...(compared ? [against(button, run)] : []),
            !compared &&
                sdtune.view.runs.length > 1 &&
                button('Compare', 'Compare this run with another one, side by side', () => choose(run.id)),
            run.step > 0 &&
                el(
                    'a',
                    {
                        class: 'sdtune-button sdtune-small',
                        href: sdtune.fileUrl(run.id, 'report.html'),
                        target: '_blank',
                        rel: 'noopener',
                        title: t('The run on one page: settings, curves, pictures, versions'),
                    },
                    t('Report'),
                ),
            !on &&
                button(
                    'Delete',
                    'Delete the run folder: samples, log and resume point; the trained files stay',
                    (event) => {
                        if (sdtune.sure(event.currentTarget)) post(run, '', 'DELETE');
                    },
                    'sdtune-quiet',
                ),
        );
    }

    function against(button, run) {
        if (run.id === compared) return button('Cancel', 'Compare nothing', () => choose(''));
        const address = sdtune.url(
            'compare.html?one=' + encodeURIComponent(compared) + '&other=' + encodeURIComponent(run.id),
        );
        return sdtune.el(
            'a',
            {
                class: 'sdtune-button sdtune-small sdtune-strong',
                href: address,
                target: '_blank',
                rel: 'noopener',
                onclick: () => setTimeout(() => choose(''), 0),
            },
            t('With this one'),
        );
    }

    function choose(name) {
        compared = name;
        runs.draw(sdtune.view.runs);
    }

    async function post(run, verb, method) {
        try {
            await sdtune.call('runs/' + encodeURIComponent(run.id) + (verb ? '/' + verb : ''), method);
            if (verb === 'resume') sdtune.view.chosen = run.id;
            sdtune.status.say('');
        } catch (problem) {
            sdtune.status.say(problem.message);
        }
        drawn = '';
        sdtune.refresh();
    }
})(window.sdtune);
