// Every run there is, and what can be done with it.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const runs = (sdtune.runs = {});
    const t = (...args) => sdtune.t(...args);
    const PAGE = 50; // rows
    const STATES = ['queued', 'preparing', 'training', 'paused', 'finished', 'stopped', 'failed'];
    const filter = {text: '', state: '', page: 0};
    let drawn = '';
    let compared = ''; // the run that is to be compared with another

    runs.draw = function (list) {
        const place = sdtune.byId('sdtune_runs');
        const mark =
            JSON.stringify(
                list.map((run) => [
                    run.id,
                    run.state,
                    run.step,
                    run.updated,
                    run.resumable,
                    run.problem,
                    run.id === shownId(),
                ]),
            ) +
            JSON.stringify(filter) +
            compared;
        if (!place || mark === drawn || place.querySelector('[data-asked]')) return;
        drawn = mark;
        if (!list.length) return place.replaceChildren();
        if (!sdtune.byId('sdtune_runs_list')) place.replaceChildren(...frame());
        const sorted = list.slice().sort((a, b) => (b.updated || 0) - (a.updated || 0));
        const matching = sorted.filter(matches);
        const pages = Math.max(1, Math.ceil(matching.length / PAGE));
        filter.page = Math.min(filter.page, pages - 1);
        sdtune.show('sdtune_runs_filter', list.length > 10 || filter.text || filter.state);
        sdtune.text(
            'sdtune_runs_count',
            matching.length === list.length
                ? t('Runs: {n}', {n: list.length})
                : t('Runs: {n} of {all}', {n: matching.length, all: list.length}),
        );
        sdtune.text('sdtune_runs_page', t('page {n} of {m}', {n: filter.page + 1, m: pages}));
        sdtune.show('sdtune_runs_pager', pages > 1);
        sdtune.byId('sdtune_runs_back').disabled = filter.page === 0;
        sdtune.byId('sdtune_runs_next').disabled = filter.page + 1 >= pages;
        const rows = matching.slice(filter.page * PAGE, (filter.page + 1) * PAGE);
        sdtune.byId('sdtune_runs_list').replaceChildren(hint(), table(rows));
    };

    const matches = (run) =>
        (!filter.state || run.state === filter.state) &&
        [run.id, run.trigger, run.method].join(' ').toLowerCase().includes(filter.text.trim().toLowerCase());

    function change(values) {
        Object.assign(filter, {page: 0}, values);
        runs.draw(sdtune.view.runs);
    }

    // It stays while the rows change, so that typing is never interrupted.
    function frame() {
        const {el} = sdtune;
        const {input, select, action} = sdtune.controls;
        const search = input(t('Search runs'), {
            id: 'sdtune_runs_search',
            'aria-label': t('Search runs'),
            oninput: (event) => change({text: event.target.value}),
        });
        const states = select([['', t('All states')], ...STATES.map((state) => [state, sdtune.stateName(state)])]);
        states.id = 'sdtune_runs_state';
        states.setAttribute('aria-label', t('State'));
        states.addEventListener('change', () => change({state: states.value}));
        const pager = el(
            'div',
            {class: 'sdtune-buttons sdtune-pager', id: 'sdtune_runs_pager', hidden: true},
            action('runs_back', '‹', () => change({page: filter.page - 1})),
            el('span', {class: 'sdtune-soft', id: 'sdtune_runs_page'}),
            action('runs_next', '›', () => change({page: filter.page + 1})),
        );
        pager.firstChild.setAttribute('aria-label', t('Previous page'));
        pager.lastChild.setAttribute('aria-label', t('Next page'));
        return [
            el('h4', {id: 'sdtune_runs_count'}),
            el('div', {class: 'sdtune-line', id: 'sdtune_runs_filter', hidden: true}, search, states, pager),
            el('div', {id: 'sdtune_runs_list'}),
        ];
    }

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
        return el('table', {class: 'sdtune-table'}, el('thead', {}, head), el('tbody', {}, ...list.map(row)));
    }

    function row(run) {
        const {el} = sdtune;
        const cell = (name, ...content) => el('td', {'data-label': t(name)}, ...content);
        const line = el(
            'tr',
            {},
            cell(
                'Name',
                el('b', {}, run.id),
                run.problem && el('p', {class: 'sdtune-soft sdtune-run-problem'}, run.problem),
            ),
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
            !run.problem &&
                button('Use settings', 'Fill the form with the settings of this run', () => sdtune.form.use(run.id)),
            ...(compared ? [against(button, run)] : []),
            !compared &&
                sdtune.view.runs.length > 1 &&
                button('Compare', 'Compare this run with another one, side by side', () => choose(run.id)),
            run.step > 0 &&
                !run.problem &&
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
