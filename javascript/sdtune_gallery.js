// Samples made on the way: one row a prompt, one column a step, newest on the right.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const gallery = (sdtune.gallery = {});
    const COLUMN = 140; // pixels a column is wide at least
    const GAP = 8; // between columns, as in style.css
    let drawn = '';
    let atEnd = true; // whether the newest column is in view, and stays there
    let drawnRun = ''; // its name
    let shots = [];

    // {file, step, prompt, seed} of a sample, whichever way the server names it.
    function read(sample) {
        const facts = typeof sample === 'string' ? {file: sample} : sample;
        const file = String(facts.file || facts.path || '')
            .split(/[\\/]/)
            .pop();
        const numbers = file.match(/\d+/g) || [];
        const step = facts.step !== undefined ? facts.step : numbers.length ? Number(numbers[0]) : 0;
        const row =
            facts.index !== undefined ? facts.index : numbers.length > 1 ? Number(numbers[numbers.length - 1]) : 0;
        const prompts = (sdtune.view.run || {}).sample_prompts || written();
        return {file, step, row, prompt: facts.prompt || prompts[row] || '', seed: facts.seed};
    }

    // Of a run that does not tell them: those in its settings.
    const written = () =>
        (((sdtune.view.config || {}).sample || {}).prompts || [])
            .filter((line) => line.trim() && !line.trim().startsWith('#'))
            .map((line) => line.split(/\s--\w+(?:\s|$)/)[0]);

    gallery.draw = function (run) {
        const section = sdtune.byId('sdtune_gallery');
        shots = (run.samples || []).map(read).filter((shot) => shot.file);
        const mark = run.id + '|' + shots.map((shot) => shot.file + shot.prompt).join('|') + run.samples_note;
        sdtune.show(section, shots.length);
        if (mark === drawn) return;
        drawn = mark;
        const strip = section.querySelector('.sdtune-strip');
        if (drawnRun !== run.id) atEnd = true;
        drawnRun = run.id;
        const left = strip ? strip.scrollLeft : 0;
        section.replaceChildren(
            ...[
                sdtune.el('h4', {}, sdtune.t('Samples')),
                run.samples_note && sdtune.el('p', {class: 'sdtune-soft'}, run.samples_note),
                grid(run),
            ].filter(Boolean),
        );
        const fresh = section.querySelector('.sdtune-strip');
        fit(fresh);
        seen.disconnect();
        seen.observe(fresh);
        fresh.addEventListener('scroll', () => (atEnd = isAtEnd(fresh)));
        fresh.scrollLeft = atEnd ? fresh.scrollWidth : left;
    };

    const isAtEnd = (strip) => strip.scrollLeft + strip.clientWidth >= strip.scrollWidth - 24;

    // As many whole columns as there is room for: none is cut when the newest is in view.
    // There is room to measure only while the strip is seen.
    function fit(strip) {
        if (!strip.clientWidth) return;
        strip.style.setProperty('--in-view', Math.max(1, Math.floor((strip.clientWidth + GAP) / (COLUMN + GAP))));
    }

    // With the room the columns change, and with them where the end is.
    const seen = new ResizeObserver((entries) =>
        entries.forEach(({target}) => {
            fit(target);
            if (atEnd) target.scrollLeft = target.scrollWidth;
        }),
    );

    const moment = (step) => (step ? sdtune.t('step {n}', {n: step}) : sdtune.t('untrained'));

    function grid(run) {
        const {el} = sdtune;
        const steps = [...new Set(shots.map((shot) => shot.step))].sort((a, b) => a - b);
        const rows = [...new Set(shots.map((shot) => shot.row))];
        const strip = el('div', {class: 'sdtune-strip', tabindex: '-1'});
        strip.style.setProperty('--columns', steps.length);
        for (const step of steps) strip.append(el('span', {class: 'sdtune-step'}, moment(step)));
        for (const row of rows) {
            const prompt = shots.find((shot) => shot.row === row).prompt;
            if (prompt) strip.append(el('span', {class: 'sdtune-prompt', title: prompt}, el('span', {}, prompt)));
            for (const step of steps)
                strip.append(cell(run, shots.filter((shot) => shot.row === row && shot.step === step).pop()));
        }
        return strip;
    }

    const describe = (shot) => [shot.prompt, moment(shot.step)].filter(Boolean).join(' · ');

    function cell(run, shot) {
        const {el} = sdtune;
        if (!shot) return el('span', {class: 'sdtune-shot'});
        const words = describe(shot);
        return el(
            'button',
            {type: 'button', class: 'sdtune-shot', title: words, onclick: () => open(run, shot)},
            el('img', {src: sdtune.imageUrl(run.id, shot.file), alt: words, loading: 'lazy'}),
        );
    }

    // Every poll brings new objects for the same files.
    function open(run, clicked) {
        const index = shots.findIndex((shot) => shot.file === clicked.file);
        const large = shots.map((shot) => ({src: sdtune.imageUrl(run.id, shot.file), words: describe(shot)}));
        sdtune.enlarge(large, index);
    }
})(window.sdtune);
