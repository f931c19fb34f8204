// Preparing a folder: settings, one picture before and after, a crop drawn by hand,
// and the whole folder in the background.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const prepare = (sdtune.prepare = {});
    const t = (...given) => sdtune.t(...given);
    const at = {number: 0, name: '', total: 0, source: '', boxes: {}, asked: 0};
    let timer = null;

    const shop = () => sdtune.workshop;
    const say = (text, bad) => shop().say('prepare_note', text, bad);

    prepare.frame = function (place) {
        const {el} = sdtune;
        const {labelled, input, action, field, facts, note, bar} = shop();
        const often = facts.prepare.filter((one) => one.often);
        const rest = facts.prepare.filter((one) => !one.often);
        const fields = (group) => el('div', {class: 'sdtune-fields'}, ...group.map((one) => field('prepare_', one)));
        const left = el(
            'div',
            {class: 'sdtune-card'},
            labelled(
                'prepare_source',
                t('Folder of originals'),
                input(t('folder on the machine that trains')),
                t('They are only read.'),
            ),
            labelled(
                'prepare_out',
                t('Folder for what is made of them'),
                input(t('folder on the machine that trains')),
            ),
            fields(often),
            labelled(
                'prepare_captioner',
                t('Pictures without caption'),
                shop().select([['', t('stay without')], ...facts.captioners.map((one) => [one.name, t(one.label)])]),
                t('Described by the WebUI; how is set on the page Captions.'),
            ),
            el('details', {}, el('summary', {}, el('h4', {}, t('More settings'))), fields(rest)),
            el(
                'div',
                {class: 'sdtune-buttons'},
                action('prepare_start', t('Prepare all'), startAll, 'sdtune-strong'),
                action('prepare_stop', t('Stop'), stop),
            ),
            bar('prepare_bar'),
            note('prepare_note'),
            el('ul', {id: 'sdtune_prepare_problems', class: 'sdtune-problems'}),
            el(
                'div',
                {class: 'sdtune-buttons', id: 'sdtune_prepare_next', hidden: true},
                action('prepare_use', t('Use this folder for training'), use, 'sdtune-strong'),
                action('prepare_words', t('Edit its captions'), () => sdtune.captions.of(at.out)),
            ),
        );
        place.append(left, preview());
        left.addEventListener('change', () => at.name && look(0));
    };

    function preview() {
        const {el} = sdtune;
        const {action, note} = shop();
        const before = el(
            'div',
            {class: 'sdtune-before', id: 'sdtune_prepare_before'},
            el('img', {alt: t('before'), draggable: 'false'}),
            el('div', {class: 'sdtune-crop', hidden: true}),
        );
        drawing(before);
        return el(
            'div',
            {class: 'sdtune-card'},
            el(
                'div',
                {class: 'sdtune-head'},
                el('h4', {}, t('Before and after')),
                el(
                    'div',
                    {class: 'sdtune-buttons sdtune-pager'},
                    action('prepare_back', '‹', () => look(-1)),
                    el('span', {class: 'sdtune-soft', id: 'sdtune_prepare_number'}),
                    action('prepare_forth', '›', () => look(1)),
                    action('prepare_look', t('Look at one'), () => look(0)),
                ),
            ),
            note('prepare_look_note'),
            el(
                'div',
                {id: 'sdtune_prepare_view', hidden: true},
                el('figure', {}, before, el('figcaption', {id: 'sdtune_prepare_was'})),
                el('div', {id: 'sdtune_prepare_after'}),
            ),
            el(
                'div',
                {class: 'sdtune-line', id: 'sdtune_prepare_hand', hidden: true},
                el('p', {class: 'sdtune-soft'}, t('Draw a frame in the left picture to crop it by hand.')),
                action('prepare_uncrop', t('Remove the frame'), uncrop),
            ),
        );
    }

    prepare.opened = function () {
        const field = sdtune.byId('sdtune_prepare_source');
        if (!field.value) field.value = sdtune.form.value('concept.images') || '';
        follow();
    };

    const body = () => ({
        source: shop().value('prepare_source'),
        settings: shop().typed('prepare_', shop().facts.prepare),
    });

    // One picture

    async function look(step) {
        if (at.source !== shop().value('prepare_source'))
            Object.assign(at, {source: shop().value('prepare_source'), number: 0, name: '', total: 0, boxes: {}});
        at.number = at.total ? (at.number + step + at.total) % at.total : 0;
        const asked = ++at.asked;
        const name = at.names && at.names[at.number];
        const drawn = name in at.boxes ? {box: at.boxes[name]} : {};
        try {
            const found = await sdtune.call('prepare/preview', 'POST', {
                ...body(),
                ...drawn,
                number: at.number,
                out: shop().value('prepare_out'),
            });
            if (asked === at.asked) paint(found);
        } catch (problem) {
            if (asked === at.asked) shop().say('prepare_look_note', problem.message, true);
        }
    }

    function paint(found) {
        const {el} = sdtune;
        Object.assign(at, {
            number: found.number,
            name: found.name,
            total: found.total,
            names: {...at.names, [found.number]: found.name},
        });
        shop().say('prepare_look_note', '');
        sdtune.show('sdtune_prepare_view', true);
        sdtune.show('sdtune_prepare_hand', true);
        sdtune.text('sdtune_prepare_number', t('{n} of {m}', {n: found.number + 1, m: found.total}));
        sdtune.text('sdtune_prepare_was', `${found.name} · ${found.size.join(' × ')}`);
        sdtune.byId('sdtune_prepare_before').firstChild.src = found.before;
        frame(found.box);
        sdtune
            .byId('sdtune_prepare_after')
            .replaceChildren(
                ...found.after.map((one) =>
                    el(
                        'figure',
                        {},
                        el('img', {src: one.picture, alt: t('after')}),
                        el(
                            'figcaption',
                            {},
                            [one.size.join(' × '), ...one.did].join(' · ').replace(/(\d)x(\d)/g, '$1 × $2'),
                        ),
                    ),
                ),
            );
    }

    // A crop by hand: fractions of the picture, [left, top, right, bottom]

    function drawing(before) {
        let start = null;
        const where = (event) => {
            const seen = before.getBoundingClientRect();
            return [(event.clientX - seen.left) / seen.width, (event.clientY - seen.top) / seen.height].map((one) =>
                Math.min(1, Math.max(0, one)),
            );
        };
        const box = (event) => {
            const end = where(event);
            return [
                Math.min(start[0], end[0]),
                Math.min(start[1], end[1]),
                Math.max(start[0], end[0]),
                Math.max(start[1], end[1]),
            ];
        };
        before.addEventListener('pointerdown', (event) => {
            start = where(event);
            before.setPointerCapture(event.pointerId);
            event.preventDefault();
        });
        before.addEventListener('pointermove', (event) => start && frame(box(event)));
        before.addEventListener('pointerup', (event) => {
            if (!start) return;
            const drawn = box(event);
            start = null;
            if (drawn[2] - drawn[0] > 0.02 && drawn[3] - drawn[1] > 0.02) at.boxes[at.name] = drawn;
            look(0);
        });
        before.addEventListener('pointercancel', () => {
            start = null;
        });
    }

    function frame(box) {
        const crop = sdtune.byId('sdtune_prepare_before').lastChild;
        sdtune.show(crop, Boolean(box));
        sdtune.show('sdtune_prepare_uncrop', Boolean(box));
        if (box)
            Object.assign(crop.style, {
                left: `${100 * box[0]}%`,
                top: `${100 * box[1]}%`,
                width: `${100 * (box[2] - box[0])}%`,
                height: `${100 * (box[3] - box[1])}%`,
            });
    }

    function uncrop() {
        at.boxes[at.name] = null;
        look(0);
    }

    // All of them

    async function startAll() {
        try {
            const captioner = shop().value('prepare_captioner');
            const boxes = at.source === shop().value('prepare_source') ? at.boxes : {};
            draw(
                await sdtune.call('prepare', 'POST', {
                    ...body(),
                    out: shop().value('prepare_out'),
                    boxes,
                    captioner,
                    options: sdtune.captions.options(captioner),
                }),
            );
        } catch (problem) {
            say(problem.message, true);
        }
    }

    const stop = () =>
        sdtune
            .call('prepare/stop', 'POST')
            .then(draw)
            .catch((problem) => say(problem.message, true));

    async function follow() {
        clearTimeout(timer);
        const found = await sdtune.call('prepare').catch(() => null);
        if (found) draw(found);
    }

    function draw(found) {
        clearTimeout(timer);
        const work = found.work;
        const on = shop().busy(work);
        if (on) timer = setTimeout(follow, 700);
        sdtune.show('sdtune_prepare_stop', on);
        sdtune.show('sdtune_prepare_start', !on);
        const progress = shop().progress('prepare_bar', work);
        if (!work) return;
        at.out = found.out;
        const ended = {
            done: () => t('Files made: {made}, there already: {kept}, removed: {removed}. They are in {out}', found),
            stopped: () => t('Stopped; preparing again goes on where it was.'),
            failed: () => work.message,
        };
        say(progress || ended[work.state](), work.state === 'failed');
        sdtune.show('sdtune_prepare_next', work.state === 'done');
        sdtune
            .byId('sdtune_prepare_problems')
            .replaceChildren(...(found.problems || []).map((text) => sdtune.el('li', {}, text)));
    }

    function use() {
        sdtune.form.fill({'concept.images': at.out});
        shop().goto('train');
    }
})(window.sdtune);
