// Preparing a folder: settings, one picture before and after, a crop drawn by hand, and the whole in the background.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const prepare = (sdtune.prepare = {});
    const t = (...args) => sdtune.t(...args);
    const at = {number: 0, name: '', total: 0, source: '', boxes: {}, asked: 0};
    let timer = null;
    const controls = () => sdtune.controls;
    const say = (text, bad, asked) => controls().say('prepare_note', text, bad, asked);

    prepare.frame = function (place) {
        const {el} = sdtune;
        const {labelled, input, action, field, note, bar} = controls();
        const {facts} = sdtune.picturesPage;
        const often = facts.prepare.filter((setting) => setting.often);
        const seldom = facts.prepare.filter((setting) => !setting.often);
        const fields = (group) =>
            el('div', {class: 'sdtune-fields'}, ...group.map((setting) => field('prepare_', setting)));
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
                controls().select([
                    ['', t('stay without')],
                    ...facts.captioners.map((captioner) => [captioner.name, t(captioner.label)]),
                ]),
                t('Described by the WebUI; how is set on the page Captions.'),
            ),
            el('details', {}, el('summary', {}, el('h4', {}, t('More settings'))), fields(seldom)),
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
        left.addEventListener('change', () => at.name && showPicture(0));
    };

    function preview() {
        const {el} = sdtune;
        const {action, note} = controls();
        const before = el(
            'div',
            {
                class: 'sdtune-before',
                id: 'sdtune_prepare_before',
                tabindex: 0,
                role: 'group',
                'aria-label': t('Frame'),
                'aria-describedby': 'sdtune_prepare_hint',
            },
            el('img', {alt: t('before'), draggable: 'false'}),
            el('div', {class: 'sdtune-crop', hidden: true}),
        );
        sdtune.cropFrame(before, {
            get: () => at.shown,
            show: frame,
            done: (box) => {
                if (box !== undefined) at.boxes[at.name] = box;
                showPicture(0);
            },
        });
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
                    action('prepare_back', '‹', () => showPicture(-1)),
                    el('span', {class: 'sdtune-soft', id: 'sdtune_prepare_number'}),
                    action('prepare_forth', '›', () => showPicture(1)),
                    action('prepare_look', t('Look at one'), () => showPicture(0)),
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
                el(
                    'p',
                    {class: 'sdtune-soft', id: 'sdtune_prepare_hint'},
                    t(
                        'Draw a frame in the left picture to crop it by hand. ' +
                            'With keys: Enter sets one, arrows move it, Shift and arrows resize it, Delete removes it.',
                    ),
                ),
                action('prepare_uncrop', t('Remove the frame'), uncrop),
            ),
        );
    }

    prepare.opened = function () {
        const field = sdtune.byId('sdtune_prepare_source');
        const trained = sdtune.form.value('concept.images') || '';
        if (!field.value && trained !== sdtune.byId('sdtune_prepare_out').value) field.value = trained;
        sdtune.prepareSizes.follow();
        follow();
    };

    const body = () => ({
        source: controls().value('prepare_source'),
        settings: controls().values('prepare_', sdtune.picturesPage.facts.prepare),
    });

    // One picture

    async function showPicture(step) {
        if (at.source !== controls().value('prepare_source'))
            Object.assign(at, {source: controls().value('prepare_source'), number: 0, name: '', total: 0, boxes: {}});
        at.number = at.total ? (at.number + step + at.total) % at.total : 0;
        const request = ++at.asked;
        const name = at.names && at.names[at.number];
        const crop = name in at.boxes ? {box: at.boxes[name]} : {};
        try {
            const answer = await sdtune.call('prepare/preview', 'POST', {
                ...body(),
                ...crop,
                number: at.number,
                out: controls().value('prepare_out'),
            });
            if (request === at.asked) paint(answer);
        } catch (problem) {
            if (request === at.asked) controls().say('prepare_look_note', problem.message, true);
        }
    }

    function paint(answer) {
        const {el} = sdtune;
        Object.assign(at, {
            number: answer.number,
            name: answer.name,
            total: answer.total,
            names: {...at.names, [answer.number]: answer.name},
        });
        controls().say('prepare_look_note', '');
        sdtune.show('sdtune_prepare_view', true);
        sdtune.show('sdtune_prepare_hand', true);
        sdtune.text('sdtune_prepare_number', t('{n} of {m}', {n: answer.number + 1, m: answer.total}));
        sdtune.text('sdtune_prepare_was', `${answer.name} · ${answer.size.join(' × ')}`);
        sdtune.byId('sdtune_prepare_before').firstChild.src = answer.before;
        frame(answer.box);
        sdtune
            .byId('sdtune_prepare_after')
            .replaceChildren(
                ...answer.after.map((piece) =>
                    el(
                        'figure',
                        {},
                        el('img', {src: piece.picture, alt: t('after')}),
                        el(
                            'figcaption',
                            {},
                            [piece.size.join(' × '), ...piece.did].join(' · ').replace(/(\d)x(\d)/g, '$1 × $2'),
                        ),
                    ),
                ),
            );
    }

    // A crop by hand: fractions of the picture, [left, top, right, bottom]

    function frame(box) {
        at.shown = box;
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
        showPicture(0);
    }

    // All of them

    async function startAll() {
        try {
            const captioner = controls().value('prepare_captioner');
            const boxes = at.source === controls().value('prepare_source') ? at.boxes : {};
            draw(
                await sdtune.call('prepare', 'POST', {
                    ...body(),
                    out: controls().value('prepare_out'),
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
            .then((status) => draw(status))
            .catch((problem) => say(problem.message, true));

    async function follow() {
        clearTimeout(timer);
        const asked = performance.now();
        const status = await sdtune.call('prepare').catch(() => null);
        if (status) draw(status, asked);
    }

    function draw(status, asked) {
        clearTimeout(timer);
        const work = status.work;
        const on = controls().busy(work);
        if (on) timer = setTimeout(follow, 700);
        sdtune.show('sdtune_prepare_stop', on);
        sdtune.show('sdtune_prepare_start', !on);
        const progress = controls().progress('prepare_bar', work);
        if (!work) return;
        at.out = status.out;
        const ended = {
            done: () => t('Files made: {made}, there already: {kept}, removed: {removed}. They are in {out}', status),
            stopped: () => t('Stopped; preparing again goes on where it was.'),
            failed: () => work.message,
        };
        say(progress || ended[work.state](), work.state === 'failed', asked);
        sdtune.show('sdtune_prepare_next', work.state === 'done');
        sdtune
            .byId('sdtune_prepare_problems')
            .replaceChildren(...(status.problems || []).map((text) => sdtune.el('li', {}, text)));
    }

    function use() {
        sdtune.form.fill({'concept.images': at.out, ...(body().settings.masks && {'dataset.masked_loss': true})});
        sdtune.picturesPage.goto('train');
    }
})(window.sdtune);
