// A frame on a picture, drawn with a pointer or set with keys: fractions of the picture, [left, top, right, bottom].
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    const FIRST = [0.1, 0.1, 0.9, 0.9]; // what Enter sets where there is no frame
    const STEP = 0.01; // of a key
    const LEAST = 0.02; // of a side
    const REST = 500; // milliseconds after the last key until the crop is asked for
    const ARROWS = {ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP]};
    const between = (low, value, high) => Math.min(high, Math.max(low, value));

    // picture: the element that holds it. get(): the frame that is shown, if any. show(box): shows one.
    // done(box): it stays so; null: there is none any more; undefined: what was drawn is no frame.
    sdtune.cropFrame = function (picture, {get, show, done}) {
        draw(picture, show, done);
        keys(picture, get, show, done);
    };

    function draw(picture, show, done) {
        let start = null;
        const where = (event) => {
            const bounds = picture.getBoundingClientRect();
            return [(event.clientX - bounds.left) / bounds.width, (event.clientY - bounds.top) / bounds.height].map(
                (share) => between(0, share, 1),
            );
        };
        const box = (event) => {
            const end = where(event);
            return [...[0, 1].map((i) => Math.min(start[i], end[i])), ...[0, 1].map((i) => Math.max(start[i], end[i]))];
        };
        picture.addEventListener('pointerdown', (event) => {
            start = where(event);
            picture.setPointerCapture(event.pointerId);
            event.preventDefault();
        });
        picture.addEventListener('pointermove', (event) => start && show(box(event)));
        picture.addEventListener('pointerup', (event) => {
            if (!start) return;
            const crop = box(event);
            start = null;
            done(crop[2] - crop[0] > LEAST && crop[3] - crop[1] > LEAST ? crop : undefined);
        });
        picture.addEventListener('pointercancel', () => {
            start = null;
        });
    }

    // Enter sets a frame, arrows move it, Shift and arrows move its right and lower side, Delete takes it away.
    function keys(picture, get, show, done) {
        let timer = null;
        picture.addEventListener('keydown', (event) => {
            if (event.ctrlKey || event.altKey || event.metaKey) return;
            const present = get();
            const box = pressed(event, present);
            if (box === undefined) return;
            event.preventDefault();
            clearTimeout(timer);
            show(box);
            say(box);
            if (!box) return done(null);
            timer = setTimeout(() => done(get()), REST);
        });
    }

    // The frame after a key; null where it is taken away, undefined where the key is not for it.
    function pressed(event, present) {
        if (event.key === 'Enter' && !present) return FIRST;
        if (!present) return undefined;
        if (event.key === 'Delete' || event.key === 'Backspace') return null;
        const by = ARROWS[event.key];
        return by && (event.shiftKey ? sized(present, by) : moved(present, by));
    }

    function moved([left, top, right, bottom], [x, y]) {
        const [dx, dy] = [between(-left, x, 1 - right), between(-top, y, 1 - bottom)];
        return [left + dx, top + dy, right + dx, bottom + dy];
    }

    const sized = ([left, top, right, bottom], [x, y]) => [
        left,
        top,
        between(Math.min(1, left + 2 * LEAST), right + x, 1),
        between(Math.min(1, top + 2 * LEAST), bottom + y, 1),
    ];

    function say(box) {
        const percent = (share) => Math.round(100 * share);
        if (!box) return sdtune.announce(t('No frame'));
        const [left, top, right, bottom] = box;
        const sides = {w: percent(right - left), h: percent(bottom - top), x: percent(left), y: percent(top)};
        sdtune.announce(t('Frame: {w} × {h} % of the picture, {x} % from the left, {y} % from the top', sides));
    }
})(window.sdtune);
