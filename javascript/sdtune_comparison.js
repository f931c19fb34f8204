// Files compared with each other: what is asked for, how far it is, what came out.
// For the files of a run, and for any others.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    // As the server says it.
    const NAMES = {waiting: 'waiting for the model', drawing: 'drawing pictures', judging: 'comparing the pictures'};
    const progress = (work) =>
        t(Object.values(NAMES).includes(work.text) ? work.text : '') +
        (work.total ? ` ${work.done} / ${work.total}` : ' …');

    const BUSY = 1200; // milliseconds from one look at the server to the next, while it draws
    const IDLE = 10000; // and while it does not: another page, or a program, may start the comparison

    // prefix: of the elements' ids. path(): where the server has this comparison. own(): further wishes.
    // above(status), beside(ranked, result): what else stands above the result, and beside a ranked file.
    // of(): whose files these are, where one panel shows those of several; each has prompts of its own.
    sdtune.comparison = function (prefix, {path, own: request, above, beside, of}) {
        const id = (name) => 'sdtune_' + prefix + '_' + name;
        const panel = {mark: '', timer: null};
        let refused = 0; // when a click was, last

        // What was typed is still there after a reload.
        const key = (name) => `${prefix}_${name}` + (name === 'prompts' && of ? ':' + of() : '');
        const stored = (name) => sdtune.controls.stored()[key(name)] || '';
        function kept(name, element) {
            element.id = id(name);
            element.value = stored(name);
            element.addEventListener('input', () => sdtune.controls.store(key(name), element.value));
            return element;
        }

        panel.fields = function (prompts, ...extra) {
            const {el} = sdtune;
            const field = (name, label, hint) =>
                el('label', {}, el('span', {}, t(label)), kept(name, el('input', {type: 'text', placeholder: hint})));
            return el(
                'div',
                {id: id('fields'), class: 'sdtune-fields', oninput: () => panel.estimate()},
                ...extra,
                el(
                    'label',
                    {class: 'sdtune-wide'},
                    el('span', {}, prompts),
                    kept('prompts', el('textarea', {rows: 2})),
                ),
                field('seeds', 'Seeds', '1, 2, 3'),
                field('weights', 'Weights', '1'),
                sdtune.controls.labelled(
                    prefix + '_strength',
                    t('Then find the best strength of the proposed file'),
                    el('input', {type: 'checkbox', checked: true}),
                ),
            );
        };

        panel.rest = function () {
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
                    action('stop', 'Stop drawing', () => panel.post('/stop')),
                ),
                el('p', {class: 'sdtune-soft', id: id('total'), role: 'status'}),
                el('p', {class: 'sdtune-note', id: id('progress')}),
                el('div', {id: id('result'), class: 'sdtune-outcome'}),
            ];
        };

        const typed = (name) => sdtune.byId(id(name)).value;
        const numbers = (name) =>
            typed(name)
                .split(/[\s,;]+/)
                .filter(Boolean)
                .map((word) => (isNaN(word) ? word : Number(word))); // the server names what is no number

        function wanted(sure) {
            const settings = {sure, strength: sdtune.byId(id('strength')).checked, ...(request && request())};
            const prompts = typed('prompts')
                .split('\n')
                .map((line) => line.trim())
                .filter(Boolean);
            if (prompts.length) settings.prompts = prompts;
            for (const name of ['seeds', 'weights']) if (numbers(name).length) settings[name] = numbers(name);
            return settings;
        }

        const start = (sure) => panel.post('', wanted(sure));

        // What would be drawn, said before it is: asked for again whenever a field has changed.
        panel.estimate = function () {
            clearTimeout(panel.waiting);
            panel.waiting = setTimeout(async () => {
                const address = path();
                const total =
                    address && (await sdtune.call(address + '/estimate', 'POST', wanted(false)).catch(() => 0));
                if (address === path()) sdtune.text(id('total'), total ? described(total) : '');
            }, 400);
        };

        function described({pictures, missing, seconds, strength}) {
            const values = {n: missing, all: pictures, time: sdtune.duration(seconds || 0)};
            if (!missing) return t('All pictures are drawn already: {all}.', values);
            const parts = {ranking: missing - strength, strength};
            const total = seconds
                ? t('Pictures to draw: {n}, about {time}.', values)
                : t('Pictures to draw: {n}; how long it takes is known after the first.', values);
            return strength
                ? total + ' ' + t('{ranking} for the ranking, {strength} for the best strength.', parts)
                : total;
        }

        // `rest` below the comparison's own address, or what(path) for an address of its own.
        // What was answered, or false where the sentence that it was refused with is shown instead.
        panel.post = async function (address, body) {
            let answer;
            try {
                answer = await sdtune.call(
                    typeof address === 'function' ? address(path()) : path() + address,
                    'POST',
                    body,
                );
            } catch (problem) {
                refused = performance.now();
                panel.say(problem.message);
                sdtune.show(id('sure'), String(problem.plain).includes('"sure"'));
                return false;
            }
            await panel.refresh();
            return answer || true;
        };

        panel.say = (text) => sdtune.text(id('progress'), text);

        // What the server has, and whether a click was refused since it was asked: that sentence is newer, and stays.
        async function look() {
            const [address, asked] = [path(), performance.now()];
            const status = address && (await sdtune.call(address).catch(() => null));
            return status && address === path() ? {status, older: asked < refused} : null;
        }

        panel.refresh = async function () {
            clearTimeout(panel.timer);
            const answer = await look();
            if (answer) paint(answer);
        };

        // Draws only what has changed: a sentence that a click was refused with stays until then.
        panel.lookAgain = async function () {
            const result = sdtune.byId(id('result'));
            const answer = result && result.offsetParent && !document.hidden && (await look());
            if (answer && JSON.stringify(answer.status) !== panel.seen) return paint(answer);
            clearTimeout(panel.timer);
            panel.timer = setTimeout(panel.lookAgain, IDLE);
        };

        function paint({status, older}) {
            const busy = Boolean(status.work) && ['waiting', 'working'].includes(status.work.state);
            panel.seen = JSON.stringify(status);
            clearTimeout(panel.timer);
            panel.timer = setTimeout(busy ? panel.refresh : panel.lookAgain, busy ? BUSY : IDLE);
            if (panel.show && !panel.show(status, busy)) return;
            const message = (status.work && status.work.message) || '';
            sdtune.show(id('start'), !busy && !status.published);
            sdtune.show(id('fields'), !busy && !status.published);
            sdtune.show(id('stop'), busy);
            sdtune.show(id('total'), !busy && !status.published);
            if (!older) {
                panel.say(busy ? [progress(status.work), message].filter(Boolean).join(' · ') : message);
                sdtune.show(
                    id('sure'),
                    !busy &&
                        status.work &&
                        status.work.state === 'failed' &&
                        String(status.work.plain).includes('"sure"'),
                );
            }
            const mark = JSON.stringify([path(), status.result, status.published, busy]);
            if (mark === panel.mark) return;
            panel.mark = mark;
            if (!busy && !status.published) panel.estimate();
            sdtune.byId(id('result')).replaceChildren(...(above ? above(status) : []), ...outcome(status, busy));
        }

        // No comparison is shown any more.
        panel.clear = function () {
            clearTimeout(panel.timer);
            panel.mark = '';
            sdtune.byId(id('prompts')).value = stored('prompts');
            if (sdtune.byId(id('result'))) sdtune.byId(id('result')).replaceChildren();
        };

        function outcome(status, busy) {
            const {el} = sdtune;
            const result = status.result;
            const parts = [];
            if (!result) return parts;
            if (result.problem) parts.push(el('p', {class: 'sdtune-note'}, result.problem));
            if (result.drawn_with)
                parts.push(
                    el(
                        'p',
                        {class: 'sdtune-soft', id: id('model')},
                        t('Drawn with {model}.', {model: result.drawn_with}),
                    ),
                );
            if (result.ranking.length) {
                parts.push(
                    el(
                        'table',
                        {class: 'sdtune-ranking'},
                        el(
                            'tbody',
                            {},
                            ...result.ranking.map((ranked, place) =>
                                row(result, ranked, place, status.published || busy),
                            ),
                        ),
                    ),
                );
                parts.push(
                    el(
                        'p',
                        {class: 'sdtune-soft'},
                        t('Compared by {what}. It is a proposal; look at the pictures.', {what: result.measured_by}),
                    ),
                );
            }
            if (result.note) parts.push(el('p', {class: 'sdtune-soft'}, result.note));
            if (result.strength) parts.push(el('p', {class: 'sdtune-note'}, result.strength.sentence));
            const link = (file, label) =>
                el('a', {href: sdtune.url(path() + '/' + file), target: '_blank', rel: 'noopener'}, t(label));
            parts.push(el('p', {class: 'sdtune-links'}, link('page', 'All pictures'), link('sheet', 'Contact sheet')));
            return parts;
        }

        // A run's files in the words of the page; any others keep their names.
        function labelOf({label, step, epoch}) {
            if (label === `epoch ${epoch}`) return t('epoch {n}', {n: epoch});
            if (label === `step ${step}`) return t('step {n}', {n: step});
            return label === 'end' && Number.isInteger(step) ? t('end') : label;
        }

        function row(result, ranked, place, fixed) {
            const {el} = sdtune;
            const proposed = result.proposal && result.proposal.file === ranked.file;
            const published = fixed && fixed.file === ranked.file;
            return el(
                'tr',
                {class: published || (proposed && !fixed) ? 'sdtune-proposed' : ''},
                el(
                    'td',
                    {},
                    el('img', {src: sdtune.url(path() + '/' + ranked.picture), alt: labelOf(ranked), loading: 'lazy'}),
                ),
                el(
                    'td',
                    {},
                    el('b', {}, `${place + 1}. ${labelOf(ranked)}`),
                    published && el('span', {class: 'sdtune-chip sdtune-is-finished'}, t('published')),
                    proposed && !published && el('span', {class: 'sdtune-chip sdtune-is-queued'}, t('proposed')),
                    el('ul', {}, ...ranked.reasons.map((reason) => el('li', {}, reason))),
                ),
                el(
                    'td',
                    {},
                    el('span', {title: t('Score from 0 to 1')}, ranked.score.toFixed(2)),
                    !fixed && beside && beside(ranked, result),
                ),
            );
        }

        return panel;
    };

    sdtune.fileUrl = (id, path) => sdtune.url('runs/' + encodeURIComponent(id) + '/' + path);
})(window.sdtune);
