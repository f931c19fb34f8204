// Every run there is, and what can be done with it.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const runs = (sdtune.runs = {});
    const t = (...args) => sdtune.t(...args);
    const PAGE = 50; // rows
    const STATES = ['queued', 'preparing', 'training', 'paused', 'finished', 'stopped', 'failed'];
    const OPPOSITES = {Earlier: 'Later', Later: 'Earlier', Compare: 'Compare nothing', 'Compare nothing': 'Compare'};
    const filter = {text: '', state: '', page: 0};
    const ticked = new Set(); // names of runs that are to be deleted together
    let mark = '';

    runs.compared = ''; // the run that is to be compared with another

    // Draw the table anew, whatever it shows.
    runs.drawAnew = function () {
        mark = '';
        runs.draw(sdtune.view.runs);
    };

    runs.draw = function (list) {
        const place = sdtune.byId('sdtune_runs');
        const drawn = JSON.stringify([list.map(facts), filter, runs.compared, [...ticked]]);
        if (!place || drawn === mark || place.querySelector('[data-asked]')) return;
        mark = drawn;
        if (!list.length) return empty(place);
        if (!sdtune.byId('sdtune_runs_list')) place.replaceChildren(...frame());
        const sorted = list.slice().sort((a, b) => order(b) - order(a));
        const matching = sorted.filter(matches);
        const pages = Math.max(1, Math.ceil(matching.length / PAGE));
        filter.page = Math.min(filter.page, pages - 1);
        sdtune.show('sdtune_runs_filter', list.length > 5 || filter.text || filter.state);
        sdtune.text(
            'sdtune_runs_count',
            matching.length === list.length
                ? t('Runs: {n}', {n: list.length})
                : t('Runs: {n} of {all}', {n: matching.length, all: list.length}),
        );
        sdtune.show('sdtune_runs_none', !matching.length);
        sdtune.text('sdtune_runs_page', t('page {n} of {m}', {n: filter.page + 1, m: pages}));
        sdtune.show('sdtune_runs_pager', pages > 1);
        sdtune.byId('sdtune_runs_back').disabled = filter.page === 0;
        sdtune.byId('sdtune_runs_next').disabled = filter.page + 1 >= pages;
        sdtune.show('sdtune_runs_hint', runs.compared);
        sdtune.text('sdtune_runs_hint', t('Choose the run to compare {name} with.', {name: runs.compared}));
        const body = sdtune.byId('sdtune_runs_list').querySelector('tbody');
        sdtune.keepFocus(body, () => rows(body, matching.slice(filter.page * PAGE, (filter.page + 1) * PAGE)), place);
        deletion(matching);
    };

    function empty(place) {
        const body = place.querySelector('tbody');
        if (body) sdtune.keepFocus(body, () => place.replaceChildren(), place);
    }

    // What a row shows.
    const facts = (run) => [
        run.id,
        run.state,
        run.step,
        run.total_steps,
        run.updated,
        run.resumable,
        run.cancelled,
        run.problem,
        run.place,
        run.waiting_runs,
        run.id === shownId(),
        run.trigger,
    ];

    // What is on and what waits comes first, in its order; then the latest.
    const order = (run) => (run.place ? 1e12 - run.place : sdtune.isOn(run) ? 1e12 : run.updated || 0);

    // Rows stay what they are while their numbers change, so that neither the focus nor a click half done is lost.
    function rows(body, list) {
        const present = new Map([...body.children].map((line) => [line.dataset.run, line]));
        const lines = list.map((run) => row(run, present.get(run.id)));
        const focused = document.activeElement;
        lines.forEach((line, i) => body.children[i] !== line && body.insertBefore(line, body.children[i] || null));
        while (body.children.length > lines.length) body.lastChild.remove();
        if (focused && focused !== document.activeElement && body.contains(focused)) focused.focus();
    }

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
        const remove = action('runs_delete', '', () => removeTicked(), 'sdtune-small sdtune-quiet');
        remove.hidden = true;
        return [
            el('div', {class: 'sdtune-head'}, el('h4', {id: 'sdtune_runs_count'}), remove),
            el('div', {class: 'sdtune-line', id: 'sdtune_runs_filter', hidden: true}, search, states, pager),
            el('p', {class: 'sdtune-soft', id: 'sdtune_runs_hint', hidden: true}),
            el('div', {id: 'sdtune_runs_list'}, table()),
            none(),
        ];
    }

    // What was searched for may be gone: deleted, or in another state by now.
    function none() {
        const {el, controls} = sdtune;
        const every = () => {
            const search = sdtune.byId('sdtune_runs_search');
            search.value = '';
            document.querySelector('#sdtune_runs_filter select').value = '';
            change({text: '', state: ''});
            (search.offsetParent ? search : sdtune.byId('sdtune_runs_every')).focus();
        };
        return el(
            'div',
            {class: 'sdtune-line', id: 'sdtune_runs_none', hidden: true},
            el('p', {class: 'sdtune-soft', role: 'status'}, t('No run is like that.')),
            controls.action('runs_every_run', t('Show all'), every, 'sdtune-small'),
        );
    }

    const shownId = () => sdtune.view.chosen || (sdtune.view.run || {}).id;

    function table() {
        const {el} = sdtune;
        const every = tick('', t('Choose every run in the list'), (on) => {
            ticked.clear();
            if (on) for (const run of sdtune.view.runs.filter(matches)) if (!sdtune.isOn(run)) ticked.add(run.id);
            runs.draw(sdtune.view.runs);
        });
        Object.assign(every, {id: 'sdtune_runs_every'});
        const head = el(
            'tr',
            {},
            el('th', {scope: 'col'}, every),
            ...['Name', 'Method', 'State', 'Step', 'When', ''].map((name) => el('th', {scope: 'col'}, t(name))),
        );
        return el('table', {class: 'sdtune-table'}, el('thead', {}, head), el('tbody', {}));
    }

    const tick = (name, label, act) =>
        sdtune.el('input', {
            type: 'checkbox',
            'aria-label': label,
            title: label,
            'data-tick': name,
            onchange: (event) => act(event.target.checked),
        });

    // The line of a run, a new one or the one that is there, with today's numbers.
    function row(run, present) {
        const line = present || emptyRow(run);
        const [box, name, method, state, step, time] = line.children;
        const can = !sdtune.isOn(run);
        box.firstChild.checked = ticked.has(run.id);
        box.firstChild.disabled = !can;
        sdtune.show(name.lastChild, run.problem);
        sdtune.text(name.lastChild, run.problem || '');
        sdtune.text(method, t(sdtune.method(run.method).title || ''));
        state.firstChild.className = 'sdtune-chip sdtune-is-' + run.state;
        sdtune.text(state.firstChild, sdtune.stateOf(run) + (run.place ? ' · ' + run.place : ''));
        sdtune.text(step, run.total_steps ? `${run.step} / ${run.total_steps}` : '–');
        sdtune.text(time, when(run.updated));
        line.classList.toggle('sdtune-shown', run.id === shownId());
        const possible = JSON.stringify([
            can,
            run.resumable,
            run.cancelled,
            run.problem,
            run.place,
            run.waiting_runs,
            run.step > 0,
            runs.compared,
            sdtune.view.runs.length > 1,
        ]);
        if (line.dataset.possible !== possible) {
            line.dataset.possible = possible;
            const focused = line.contains(document.activeElement) && document.activeElement.dataset.act;
            line.lastChild.replaceChildren(...sdtune.runActions(run));
            if (focused) focusAction(line, focused);
        }
        return line;
    }

    // The button that had the focus, or, where it has done its work and is gone, one that harms nothing.
    function focusAction(line, act) {
        for (const candidate of [act, OPPOSITES[act], 'Show']) {
            const button = line.querySelector(`[data-act="${candidate}"]`);
            if (button) return button.focus();
        }
    }

    function emptyRow(run) {
        const {el} = sdtune;
        const cell = (name, ...content) => el('td', {'data-label': t(name)}, ...content);
        const choose = tick(run.id, t('Choose {name}', {name: run.id}), (on) => {
            on ? ticked.add(run.id) : ticked.delete(run.id);
            runs.draw(sdtune.view.runs);
        });
        return el(
            'tr',
            {'data-run': run.id},
            el('td', {class: 'sdtune-tick'}, choose),
            cell('Name', el('b', {}, run.id), el('p', {class: 'sdtune-soft sdtune-run-problem', hidden: true})),
            cell('Method'),
            cell('State', el('span', {})),
            cell('Step'),
            cell('When'),
            el('td', {class: 'sdtune-actions'}),
        );
    }

    // Those that were ticked and are still there and in the list.
    const chosen = (list) => list.filter((run) => ticked.has(run.id) && !sdtune.isOn(run));

    function deletion(list) {
        const count = chosen(list).length;
        const button = sdtune.byId('sdtune_runs_delete');
        if (!count && document.activeElement === button) document.querySelector('#sdtune_runs thead input').focus();
        sdtune.show(button, count);
        button.title = t('Delete the run folders: samples, log and resume point; the trained files stay');
        sdtune.text(button, t('Delete chosen runs: {n}', {n: count}));
    }

    async function removeTicked() {
        const question = t('Really? The trained files stay. Click again');
        if (!sdtune.sure(sdtune.byId('sdtune_runs_delete'), question)) return;
        const problems = [];
        for (const run of chosen(sdtune.view.runs.filter(matches))) {
            await sdtune.call('runs/' + encodeURIComponent(run.id), 'DELETE').then(
                () => ticked.delete(run.id),
                (problem) => problems.push(problem.message),
            );
        }
        sdtune.status.say(problems.join(' '));
        mark = '';
        sdtune.refresh();
    }

    function when(seconds) {
        if (!seconds) return '–';
        const date = new Date(seconds * 1000);
        const today = date.toDateString() === new Date().toDateString();
        return today ? sdtune.clock(seconds) : date.toLocaleDateString();
    }
})(window.sdtune);
