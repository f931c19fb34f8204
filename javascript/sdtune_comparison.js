// Files compared with each other: what is asked for, how far it is, what came out.
// For the files of a run, and for any others.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...given) => sdtune.t(...given);
    // As the server says it.
    const NAMES = {waiting: 'waiting for the model', drawing: 'pictures', judging: 'comparing the pictures'};
    const progress = (work) =>
        t(Object.values(NAMES).includes(work.text) ? work.text : '') +
        (work.total ? ` ${work.done} / ${work.total}` : ' …');

    // prefix: of the elements' ids. path(): where the server has this comparison. own(): further wishes.
    // above(found), beside(one, made, busy): what else stands above the result, and beside a ranked file.
    sdtune.comparison = function (prefix, {path, own, above, beside}) {
        const id = (name) => 'sdtune_' + prefix + '_' + name;
        const made = {mark: '', timer: null, current: path};

        made.fields = function (prompts, ...extra) {
            const {el} = sdtune;
            const field = (name, label, hint) =>
                el('label', {}, el('span', {}, t(label)), el('input', {type: 'text', id: id(name), placeholder: hint}));
            return el(
                'div',
                {id: id('fields'), class: 'sdtune-fields'},
                ...extra,
                el(
                    'label',
                    {class: 'sdtune-wide'},
                    el('span', {}, prompts),
                    el('textarea', {id: id('prompts'), rows: 2}),
                ),
                field('seeds', 'Seeds', '1, 2, 3'),
                field('weights', 'Weights', '1'),
            );
        };

        made.rest = function () {
            const {el} = sdtune;
            const action = (name, label, act, extra) =>
                el(
                    'button',
                    {type: 'button', id: id(name), class: 'sdtune-button ' + (extra || ''), onclick: act},
                    t(label),
                );
            return [
                el(
                    'div',
                    {class: 'sdtune-buttons'},
                    action('start', 'Compare files', () => start(false), 'sdtune-strong'),
                    action('sure', 'Draw them all the same', () => start(true)),
                    action('stop', 'Stop drawing', () => made.post('/stop')),
                ),
                el('p', {class: 'sdtune-note', id: id('progress')}),
                el('div', {id: id('result'), class: 'sdtune-outcome'}),
            ];
        };

        const typed = (name) => sdtune.byId(id(name)).value;
        const numbers = (name) =>
            typed(name)
                .split(/[\s,;]+/)
                .filter(Boolean)
                .map(Number);

        function start(sure) {
            const wishes = {sure, ...(own && own())};
            const prompts = typed('prompts')
                .split('\n')
                .map((line) => line.trim())
                .filter(Boolean);
            if (prompts.length) wishes.prompts = prompts;
            for (const name of ['seeds', 'weights']) if (numbers(name).length) wishes[name] = numbers(name);
            return made.post('', wishes);
        }

        // `rest` below the comparison's own address, or what(path) for an address of its own.
        made.post = async function (rest, body) {
            try {
                await sdtune.call(typeof rest === 'function' ? rest(path()) : path() + rest, 'POST', body);
            } catch (problem) {
                made.say(problem.message);
                sdtune.show(id('sure'), problem.message.includes('"sure"'));
                return false;
            }
            made.look();
            return true;
        };

        made.say = (text) => sdtune.text(id('progress'), text);

        made.look = async function () {
            clearTimeout(made.timer);
            const asked = path();
            const found = asked && (await sdtune.call(asked).catch(() => null));
            if (found && asked === path()) made.paint(found);
        };

        made.paint = function (found) {
            const busy = Boolean(found.work) && ['waiting', 'working'].includes(found.work.state);
            if (busy) made.timer = setTimeout(made.look, 1200);
            if (made.show && !made.show(found, busy)) return;
            made.say(busy ? progress(found.work) : (found.work && found.work.message) || '');
            sdtune.show(id('start'), !busy && !found.published);
            sdtune.show(id('fields'), !busy && !found.published);
            sdtune.show(id('stop'), busy);
            sdtune.show(
                id('sure'),
                !busy && found.work && found.work.state === 'failed' && found.work.message.includes('"sure"'),
            );
            const mark = JSON.stringify([path(), found.result, found.published, busy]);
            if (mark === made.mark) return;
            made.mark = mark;
            sdtune.byId(id('result')).replaceChildren(...(above ? above(found) : []), ...outcome(found, busy));
        };

        // No comparison is shown any more.
        made.clear = function () {
            clearTimeout(made.timer);
            made.mark = '';
            if (sdtune.byId(id('result'))) sdtune.byId(id('result')).replaceChildren();
        };

        function outcome(found, busy) {
            const {el} = sdtune;
            const seen = found.result;
            const parts = [];
            if (!seen) return parts;
            if (seen.problem) parts.push(el('p', {class: 'sdtune-note'}, seen.problem));
            if (seen.ranking.length) {
                parts.push(
                    el(
                        'table',
                        {class: 'sdtune-ranking'},
                        el(
                            'tbody',
                            {},
                            ...seen.ranking.map((one, place) => row(seen, one, place, found.published || busy)),
                        ),
                    ),
                );
                parts.push(
                    el(
                        'p',
                        {class: 'sdtune-soft'},
                        t('Compared by {what}. It is a proposal; look at the pictures.', {what: seen.measured_by}),
                    ),
                );
            }
            if (seen.note) parts.push(el('p', {class: 'sdtune-soft'}, seen.note));
            if (seen.strength) parts.push(el('p', {class: 'sdtune-note'}, seen.strength.sentence));
            const link = (what, label) =>
                el('a', {href: sdtune.url(path() + '/' + what), target: '_blank', rel: 'noopener'}, t(label));
            parts.push(el('p', {class: 'sdtune-links'}, link('page', 'All pictures'), link('sheet', 'Contact sheet')));
            return parts;
        }

        function row(seen, one, place, fixed) {
            const {el} = sdtune;
            const proposed = seen.proposal && seen.proposal.file === one.file;
            return el(
                'tr',
                {class: proposed ? 'sdtune-proposed' : ''},
                el(
                    'td',
                    {},
                    el('img', {src: sdtune.url(path() + '/' + one.picture), alt: one.label, loading: 'lazy'}),
                ),
                el(
                    'td',
                    {},
                    el('b', {}, `${place + 1}. ${one.label}`),
                    proposed && el('span', {class: 'sdtune-chip sdtune-is-finished'}, t('proposed')),
                    el('ul', {}, ...one.reasons.map((reason) => el('li', {}, reason))),
                ),
                el(
                    'td',
                    {},
                    el('span', {title: t('Score from 0 to 1')}, one.score.toFixed(2)),
                    !fixed && beside && beside(one, seen),
                ),
            );
        }

        return made;
    };

    sdtune.fileUrl = (id, path) => sdtune.url('runs/' + encodeURIComponent(id) + '/' + path);
})(window.sdtune);
