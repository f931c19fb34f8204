// Every training picture by its loss, compared with what is usual at the same timesteps.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const imageLoss = (sdtune.imageLoss = {});
    const t = (...args) => sdtune.t(...args);
    const SORTS = [
        ['factor', 'Hardest first'],
        ['memorised', 'Easiest first'],
        ['file', 'By name'],
    ];
    const VERDICTS = {hard: 'never converges; look at its caption', memorised: 'memorised'};
    const MAX_ROWS = 200;
    let shown = {id: '', step: -1, rows: []};
    let sort = 'factor';
    let loadedAt = 0;

    imageLoss.draw = function (run) {
        const section = sdtune.byId('sdtune_board');
        if (shown.id !== run.id) shown = {id: run.id, step: -1, rows: []};
        sdtune.show(section, run.step > 0);
        if (section.hidden) return;
        if (!section.firstChild) frame(section);
        if (section.querySelector('details').open) load(run);
    };

    function frame(section) {
        const {el} = sdtune;
        const buttons = SORTS.map(([name, label]) =>
            el(
                'button',
                {
                    type: 'button',
                    class: 'sdtune-button sdtune-small',
                    'data-sort': name,
                    onclick: () => {
                        sort = name;
                        paint();
                    },
                },
                t(label),
            ),
        );
        const details = el(
            'details',
            {ontoggle: () => sdtune.view.run && imageLoss.draw(sdtune.view.run)},
            el('summary', {}, el('h4', {}, t('Pictures by their loss'))),
            el(
                'p',
                {class: 'sdtune-soft'},
                t(
                    '1 is the usual loss at the same timesteps. Pictures that stay above it are hard to learn; ' +
                        'those far below are known by heart.',
                ),
            ),
            el('div', {class: 'sdtune-buttons'}, ...buttons),
            el('div', {class: 'sdtune-board'}),
        );
        section.append(details);
    }

    async function load(run) {
        if ((Date.now() - loadedAt < 5000 && shown.step >= 0) || shown.step === run.step) return;
        loadedAt = Date.now();
        const answer = await sdtune.call('runs/' + encodeURIComponent(run.id) + '/pictures').catch(() => null);
        if (!answer || shown.id !== run.id || answer.step === shown.step) return;
        shown = {id: run.id, step: answer.step, rows: answer.pictures};
        paint();
    }

    function paint() {
        const place = sdtune.byId('sdtune_board').querySelector('.sdtune-board');
        for (const button of sdtune.byId('sdtune_board').querySelectorAll('[data-sort]'))
            button.setAttribute('aria-pressed', button.dataset.sort === sort);
        const order = {
            factor: (a, b) => b.factor - a.factor,
            memorised: (a, b) => a.factor - b.factor,
            file: (a, b) => a.file.localeCompare(b.file),
        };
        const rows = shown.rows.slice().sort(order[sort]).slice(0, MAX_ROWS);
        const large = rows.map((row) => ({
            src: sdtune.fileUrl(shown.id, 'pictures/' + row.index + '?large=true'),
            words: row.caption || row.file,
        }));
        place.replaceChildren(...rows.map((row, i) => card(row, () => sdtune.enlarge(large, i))));
    }

    function card(row, open) {
        const {el} = sdtune;
        const verdict = row.verdict ? t(VERDICTS[row.verdict]) : row.class ? t('class picture') : '';
        return el(
            'figure',
            {class: 'sdtune-picture sdtune-is-' + (row.verdict || 'usual'), title: row.file + '\n' + row.caption},
            el(
                'button',
                {type: 'button', class: 'sdtune-shot', onclick: open},
                el('img', {
                    src: sdtune.fileUrl(shown.id, 'pictures/' + row.index),
                    alt: row.caption || row.file,
                    loading: 'lazy',
                }),
            ),
            el(
                'figcaption',
                {},
                el('b', {}, '× ' + row.factor.toFixed(2)),
                ' ',
                t('times seen: {n}', {n: row.shown}),
                verdict && el('span', {}, verdict),
            ),
        );
    }
})(window.sdtune);
