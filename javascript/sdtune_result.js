// How a run ended: the card of what was made, or the box that says what failed and what to change.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const result = (sdtune.result = {});
    const drawn = {};
    const running = new Set();
    const t = (...args) => sdtune.t(...args);

    result.draw = function (run) {
        const files = (run.artefacts || []).map(read).filter((file) => file.path);
        const done = !sdtune.isOn(run) && files.length > 0;
        const size = run.sample_width && [run.sample_width, run.sample_height];
        if (sdtune.isOn(run)) running.add(run.id);
        else if (running.delete(run.id) && done) showCards(run.method);
        swap(
            'sdtune_done',
            done,
            JSON.stringify([run.id, run.state, files, run.published, (run.samples || []).length, size]),
            () => card(run, files, size),
        );
        swap('sdtune_failure', run.state === 'failed', JSON.stringify([run.id, run.message]), () => box(run));
    };

    function swap(id, visible, mark, draw) {
        sdtune.show(id, visible);
        if (!visible || drawn[id] === mark) return;
        drawn[id] = mark;
        sdtune.byId(id).replaceChildren(...draw());
    }

    // What uses the file in a prompt.
    function promptTag({tag, word}, name, weight) {
        if (tag) return `<${tag}:${name}:${weight}>`;
        return !word ? '' : weight === 1 ? name : `(${name}:${weight})`;
    }

    // The WebUI lists a new file at once, but shows its card only after its own button was pressed.
    function showCards(method) {
        for (const page of ['txt2img', 'img2img']) {
            const button = document.getElementById(`${page}_${sdtune.method(method).cards}_extra_refresh_internal`);
            if (button) button.dispatchEvent(new Event('click'));
        }
        const choices = isCheckpoint(method) && document.getElementById('refresh_sd_model_checkpoint');
        if (choices) choices.click();
    }

    const isCheckpoint = (method) => sdtune.method(method).cards === 'checkpoints';

    function read(artefact) {
        const facts = typeof artefact === 'string' ? {path: artefact} : artefact;
        const path = String(facts.path || '');
        return {
            path,
            tag: facts.tag,
            name:
                facts.name ||
                path
                    .split(/[\\/]/)
                    .pop()
                    .replace(/\.[^.]+$/, ''),
        };
    }

    function card(run, files, size) {
        const {el} = sdtune;
        const last = files.find((file) => file.name === run.id) || files[files.length - 1];
        const method = sdtune.method(run.method);
        const tag = last.tag !== undefined ? last.tag : promptTag(method, last.name, (run.published || {}).weight || 1);
        const word = run.trigger || '';
        const checkpoint = isCheckpoint(run.method) ? last.name : '';
        const words = [tag, method.word ? '' : word].filter(Boolean);
        const text = words.join(' ');
        const title =
            run.state === 'finished' ? t('Done. Type this in a prompt:') : t('Saved so far. Type this in a prompt:');
        const chosen = t('Done. Choose {name} in the list of checkpoints and type this in a prompt:', {
            name: last.name,
        });
        const parts = el(
            'div',
            {class: 'sdtune-done-text'},
            el('h4', {}, tag ? title : text ? chosen : t('Done. The checkpoint is in the list of checkpoints.')),
        );
        if (text) parts.append(el('code', {class: 'sdtune-tag', id: 'sdtune_tag'}, text));
        parts.append(
            el(
                'div',
                {class: 'sdtune-buttons'},
                text && copy(text, 'Copy'),
                ...sdtune.send.controls(words, checkpoint, size),
                sdtune.el(
                    'a',
                    {
                        class: 'sdtune-button',
                        id: 'sdtune_report_page',
                        href: sdtune.fileUrl(run.id, 'report.html'),
                        target: '_blank',
                        rel: 'noopener',
                    },
                    t('Report'),
                ),
            ),
            paths(files),
        );
        return [parts];
    }

    function paths(files) {
        const {el} = sdtune;
        const list = el(
            'ul',
            {class: 'sdtune-paths'},
            ...files
                .slice(-4)
                .map((file) =>
                    el(
                        'li',
                        {},
                        sdtune.byId('sdtune_panel').dataset.dirs === 'hidden'
                            ? file.path.split(/[\\/]/).pop()
                            : file.path,
                    ),
                ),
        );
        return files.length > 4
            ? el('div', {}, list, el('p', {class: 'sdtune-soft'}, t('earlier files: {n}', {n: files.length - 4})))
            : list;
    }

    result.copy = copy;
    function copy(text, label) {
        const button = sdtune.el(
            'button',
            {
                type: 'button',
                class: 'sdtune-button',
                onclick: async () => {
                    await toClipboard(typeof text === 'function' ? await text() : text);
                    button.textContent = t('Copied');
                    setTimeout(() => (button.textContent = t(label)), 1500);
                },
            },
            t(label),
        );
        return button;
    }

    // The clipboard API needs https or localhost; everybody else gets the old way.
    async function toClipboard(text) {
        if (navigator.clipboard && window.isSecureContext)
            return navigator.clipboard.writeText(text).catch(() => oldWay(text));
        return oldWay(text);
    }

    function oldWay(text) {
        const area = sdtune.el('textarea', {class: 'sdtune-offscreen', readonly: true});
        area.value = text;
        document.body.append(area);
        area.select();
        document.execCommand('copy');
        area.remove();
    }

    function box(run) {
        const {el} = sdtune;
        const failure = run.failure || {what: run.message || t('The run failed.')};
        const rows = [
            ['What happened', failure.what],
            ['Most likely', failure.why],
            ['What to change', failure.change],
        ].filter(([, text]) => text);
        const list = el('dl', {}, ...rows.flatMap(([name, text]) => [el('dt', {}, t(name)), el('dd', {}, t(text))]));
        const settings = Object.entries(failure.settings || {});
        const buttons = el(
            'div',
            {class: 'sdtune-buttons'},
            settings.length > 0 &&
                el(
                    'button',
                    {
                        type: 'button',
                        class: 'sdtune-button sdtune-strong',
                        onclick: () => sdtune.form.use(run.id, Object.fromEntries(settings)),
                    },
                    t('Change it'),
                ),
            !run.resumable &&
                !run.problem &&
                el(
                    'button',
                    {
                        type: 'button',
                        class: 'sdtune-button',
                        id: 'sdtune_retry',
                        onclick: () => sdtune.status.order('retry'),
                    },
                    t('Retry'),
                ),
            copy(
                () =>
                    sdtune
                        .call('runs/' + encodeURIComponent(run.id) + '/report')
                        .catch(() => JSON.stringify(run, null, 1)),
                'Copy report',
            ),
        );
        return [list, buttons];
    }
})(window.sdtune);
