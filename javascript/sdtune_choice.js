// Which of a run's files is best: one click for grid, ranking and strength, another to publish.
window.sdtune = window.sdtune || {};

(function(sdtune) {
    const choice = sdtune.choice = {};
    const t = (...given) => sdtune.t(...given);
    let shown = {id: '', state: '', mark: '', found: null};
    let timer = null;

    choice.draw = function(run) {
        const section = sdtune.byId('sdtune_choice');
        const over = !sdtune.isOn(run);
        if (!over) sdtune.show(section, false);
        if (shown.id === run.id && shown.state === run.state) return;
        shown = {id: run.id, state: run.state, mark: '', found: null};
        if (over) look();
    };

    const path = (rest) => 'runs/' + encodeURIComponent(shown.id) + '/' + rest;

    async function look() {
        clearTimeout(timer);
        const id = shown.id;
        const found = await sdtune.call(path('choose')).catch(() => null);
        if (found && id === shown.id && !sdtune.isOn(sdtune.view.run)) paint(found);
    }

    function paint(found) {
        const section = sdtune.byId('sdtune_choice');
        sdtune.show(section, found.files.length > 0 || found.result);
        if (!section.firstChild) frame(section);
        const busy = Boolean(found.work) && ['waiting', 'working'].includes(found.work.state);
        if (busy) timer = setTimeout(look, 1200);
        sdtune.text('sdtune_choice_files', t('Saved files: {n}', {n: found.files.length}));
        sdtune.text('sdtune_choice_progress', busy ? progress(found.work) : found.work && found.work.message || '');
        sdtune.show('sdtune_choice_start', !busy && !found.published);
        sdtune.show('sdtune_choice_fields', !busy && !found.published);
        sdtune.show('sdtune_choice_stop', busy);
        sdtune.show('sdtune_choice_sure', !busy && found.work && found.work.state === 'failed' && found.work.message.includes('"sure"'));
        const mark = JSON.stringify([found.result, found.published, busy]);
        if (mark === shown.mark) return;
        Object.assign(shown, {mark, found});
        sdtune.byId('sdtune_choice_result').replaceChildren(...outcome(found, busy));
    }

    const NAMES = {waiting: 'waiting for the model', drawing: 'pictures', judging: 'comparing the pictures'}; // as the server says it
    const progress = (work) => t(Object.values(NAMES).includes(work.text) ? work.text : '') + (work.total ? ` ${work.done} / ${work.total}` : ' …');

    function frame(section) {
        const {el} = sdtune;
        const field = (id, label, hint) => el('label', {}, el('span', {}, t(label)), el('input', {type: 'text', id: 'sdtune_choice_' + id, placeholder: hint}));
        const action = (id, label, act, extra) => el('button', {type: 'button', id: 'sdtune_choice_' + id, class: 'sdtune-button ' + (extra || ''), onclick: act}, t(label));
        section.append(el('div', {class: 'sdtune-head'}, el('h4', {}, t('Which file is best?')), el('span', {class: 'sdtune-soft', id: 'sdtune_choice_files'})),
            el('p', {class: 'sdtune-soft'}, t('Draws every saved file with the same prompts and seeds, ranks them with reasons, and finds the best strength.')),
            el('div', {id: 'sdtune_choice_fields'},
                el('label', {class: 'sdtune-wide'}, el('span', {}, t('Prompts, one a line; empty takes the sample prompts')), el('textarea', {id: 'sdtune_choice_prompts', rows: 2})),
                field('seeds', 'Seeds', '1, 2, 3'), field('weights', 'Weights', '1')),
            el('div', {class: 'sdtune-buttons'}, action('start', 'Compare files', () => start(false), 'sdtune-strong'),
                action('sure', 'Draw them all the same', () => start(true)), action('stop', 'Stop drawing', () => post('choose/stop'))),
            el('p', {class: 'sdtune-note', id: 'sdtune_choice_progress'}), el('div', {id: 'sdtune_choice_result'}));
    }

    const typed = (id) => sdtune.byId('sdtune_choice_' + id).value;
    const numbers = (id) => typed(id).split(/[\s,;]+/).filter(Boolean).map(Number);

    function start(sure) {
        const wishes = {sure};
        const prompts = typed('prompts').split('\n').map((line) => line.trim()).filter(Boolean);
        if (prompts.length) wishes.prompts = prompts;
        for (const id of ['seeds', 'weights']) if (numbers(id).length) wishes[id] = numbers(id);
        return post('choose', wishes);
    }

    async function post(rest, body) {
        try {
            await sdtune.call(path(rest), 'POST', body);
        } catch (problem) {
            sdtune.text('sdtune_choice_progress', problem.message);
            sdtune.show('sdtune_choice_sure', problem.message.includes('"sure"'));
            return;
        }
        look();
    }

    // What was found

    function outcome(found, busy) {
        const {el} = sdtune;
        const made = found.result;
        const parts = [];
        if (found.published) {
            parts.push(el('p', {class: 'sdtune-note'}, t('Published. The other files are in the run folder.')),
                el('div', {class: 'sdtune-buttons'}, el('button', {type: 'button', class: 'sdtune-button', id: 'sdtune_unpublish', onclick: () => post('unpublish')}, t('Take it back'))));
        }
        if (!made) return parts;
        if (made.problem) parts.push(el('p', {class: 'sdtune-note'}, made.problem));
        if (made.ranking.length) {
            parts.push(el('table', {class: 'sdtune-ranking'}, el('tbody', {}, ...made.ranking.map((one, place) => row(made, one, place, found.published || busy)))));
            parts.push(el('p', {class: 'sdtune-soft'}, t('Compared by {what}. It is a proposal; look at the pictures.', {what: made.measured_by})));
        }
        if (made.note) parts.push(el('p', {class: 'sdtune-soft'}, made.note));
        if (made.strength) parts.push(el('p', {class: 'sdtune-note'}, made.strength.sentence));
        const link = (what, label) => el('a', {href: sdtune.fileUrl(shown.id, 'choose/' + what), target: '_blank', rel: 'noopener'}, t(label));
        parts.push(el('p', {class: 'sdtune-links'}, link('page', 'All pictures'), link('sheet', 'Contact sheet')));
        return parts;
    }

    function row(made, one, place, fixed) {
        const {el} = sdtune;
        const proposed = made.proposal && made.proposal.file === one.file;
        const weight = proposed ? made.proposal.weight : 1;
        const act = () => post('publish', {file: one.file, weight});
        return el('tr', {class: proposed ? 'sdtune-proposed' : ''},
            el('td', {}, el('img', {src: sdtune.fileUrl(shown.id, 'choose/' + one.picture), alt: one.label, loading: 'lazy'})),
            el('td', {}, el('b', {}, `${place + 1}. ${one.label}`), proposed && el('span', {class: 'sdtune-chip sdtune-is-finished'}, t('proposed')),
                el('ul', {}, ...one.reasons.map((reason) => el('li', {}, reason)))),
            el('td', {}, el('span', {title: t('Score from 0 to 1')}, one.score.toFixed(2)), !fixed && el('button', {type: 'button',
                class: 'sdtune-button sdtune-small' + (proposed ? ' sdtune-strong' : ''), onclick: act, title: t('Give it the final name, write its card, put the others into the run folder')}, t('Publish'))));
    }
})(window.sdtune);
