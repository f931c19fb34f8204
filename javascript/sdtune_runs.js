// Every run there is, and what can be done with it.
window.sdtune = window.sdtune || {};

(function(sdtune) {
    const runs = sdtune.runs = {};
    const t = (...given) => sdtune.t(...given);
    let drawn = '';

    runs.draw = function(list) {
        const place = sdtune.byId('sdtune_runs');
        const mark = JSON.stringify(list.map((run) => [run.id, run.state, run.step, run.updated, run.resumable, run.id === shown()]));
        if (!place || mark === drawn || place.querySelector('[data-asked]')) return;
        drawn = mark;
        const sorted = list.slice().sort((a, b) => (b.updated || 0) - (a.updated || 0));
        place.replaceChildren(...(sorted.length ? [sdtune.el('h4', {}, t('Runs')), table(sorted)] : []));
    };

    const shown = () => sdtune.view.chosen || (sdtune.view.run || {}).id;

    function table(list) {
        const {el} = sdtune;
        const head = el('tr', {}, ...['Name', 'Method', 'State', 'Step', 'When', ''].map((name) => el('th', {scope: 'col'}, t(name))));
        return el('table', {class: 'sdtune-table'}, el('thead', {}, head), el('tbody', {}, ...list.slice(0, 50).map(row)));
    }

    function row(run) {
        const {el} = sdtune;
        const cell = (name, ...content) => el('td', {'data-label': t(name)}, ...content);
        const made = el('tr', {}, cell('Name', el('b', {}, run.id)), cell('Method', t(sdtune.METHODS[run.method] || run.method || '')),
            cell('State', el('span', {class: 'sdtune-chip sdtune-is-' + run.state}, sdtune.stateName(run.state))),
            cell('Step', run.total_steps ? `${run.step} / ${run.total_steps}` : '–'), cell('When', when(run.updated)), actions(run));
        made.classList.toggle('sdtune-shown', run.id === shown());
        return made;
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
        const button = (label, title, act, extra) => el('button', {type: 'button', class: 'sdtune-button sdtune-small ' + (extra || ''), title: t(title), onclick: act}, t(label));
        return el('td', {class: 'sdtune-actions'},
            !on && run.resumable && button('Resume', 'Go on from the last resume point', () => post(run, 'resume', 'POST')),
            button('Show', 'Show this run above', () => sdtune.choose(run.id)),
            button('Use settings', 'Fill the form with the settings of this run', () => sdtune.form.use(run.id)),
            !on && button('Delete', 'Delete the run folder: samples, log and resume point; the trained files stay', (event) => {
                if (sdtune.sure(event.currentTarget)) post(run, '', 'DELETE');
            }, 'sdtune-quiet'));
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
        sdtune.look();
    }
})(window.sdtune);
