// The form: what was typed survives a reload, and the method decides which groups are seen.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const form = (sdtune.form = {});
    const STORE = 'sdtune_form';
    const OF_ONE_RUN = ['name', 'overwrite', 'further_concepts', 'concept.images', 'concept.prompt'];
    let ready = false;
    let base = {}; // {path: [declared, recommended]}
    let advised = null; // the model that these recommendations are for, '' for none, null before they are there
    let paths = [];
    let pending = {};

    const stored = () => {
        let all = {};
        try {
            all = JSON.parse(localStorage.getItem(STORE)) || {};
        } catch (problem) {
            /* nothing is stored */
        }
        // Another WebUI at this address, or a plug-in that is gone, may have had this method.
        if (all.method && !sdtune.method(all.method).usable) delete all.method;
        return all;
    };

    form.begin = () => press('sdtune_restore_button');

    form.press = press;
    function press(id, tries) {
        const button = sdtune.byId(id);
        if (button) button.click();
        else if ((tries || 0) < 50) setTimeout(() => press(id, (tries || 0) + 1), 200);
    }

    // Called by each field when it changes. What equals the recommendation is not kept, so that it follows the model.
    form.keep = function (path, value) {
        if (path === 'method') showMethod(value);
        sdtune.memory.changed(path);
        if (ready) sdtune.messages.changed(path);
        if (path === 'further_concepts') sdtune.concepts.draw(value);
        if (!ready) return;
        const all = stored();
        mark(path, value);
        if (path in base && same(base[path][1], value)) delete all[path];
        else all[path] = value;
        try {
            localStorage.setItem(STORE, JSON.stringify(all));
        } catch (problem) {
            /* private windows forget; the form still works */
        }
        sdtune.changes.draw();
    };

    // [path, value] of every setting that is not as recommended; what belongs to one run, or another method, apart.
    form.changes = () =>
        Object.entries(stored()).filter(
            ([path, value]) =>
                !OF_ONE_RUN.includes(path) &&
                (paths.length === 0 || paths.includes(path)) &&
                ofMethod(path) &&
                !(path in base && same(base[path][1], value)),
        );
    const ofMethod = (path) => {
        const section = path.split('.')[0];
        return !(section in sdtune.methods()) || section === form.value('method');
    };

    const same = (a, b) => String(a ?? '') === String(b ?? '');

    function mark(path, value) {
        if (path in base) sdtune.changedFields.mark(path, base[path][1], !same(base[path][1], value));
    }

    // Values for every field: what the user typed, else the host's recommendation, else what stands there.
    form.restore = function (names, values) {
        paths = names;
        const before = base;
        const current = values.slice(1, 1 + names.length); // gradio appends what the outputs hold
        try {
            ({model: advised, fields: base} = JSON.parse(values[0]));
        } catch (problem) {
            [advised, base] = ['', {}];
        }
        const all = Object.assign(stored(), pending);
        const restored = current.map((value, i) => {
            const [declared, host] = base[paths[i]] || [value, value];
            if (paths[i] in all) return all[paths[i]];
            const untouched = same(value, declared) || (paths[i] in before && same(value, before[paths[i]][1]));
            return untouched ? host : value;
        });
        ready = true;
        for (const [path, value] of Object.entries(pending)) form.keep(path, value);
        pending = {};
        restored.forEach((value, i) => mark(paths[i], value));
        showMethod(restored[paths.indexOf('method')]);
        sdtune.changes.draw();
        sdtune.concepts.draw(restored[paths.indexOf('further_concepts')]);
        return restored;
    };

    // Fill single fields from outside: {'train.batch_size': 1}.
    form.fill = function (settings) {
        pending = settings;
        press('sdtune_restore_button');
    };

    // The settings of an earlier run, fetched by the server's own event; `changes` are laid over them.
    form.use = function (id, changes) {
        pending = changes || {};
        hand('sdtune_wanted', id, 'sdtune_use_button');
        if (window.innerWidth < 760) sdtune.byId('sdtune_form').scrollIntoView({behavior: 'smooth'});
    };

    // What the form shows once an earlier run's settings are in it (called by the button's event).
    form.used = function (names, values) {
        const changes = pending;
        pending = {};
        return names.map((name, i) => (name in changes ? changes[name] : values[i]));
    };

    // A CONFIG from elsewhere into the fields, by the server's own event.
    form.open = (config) => hand('sdtune_opened', JSON.stringify(config), 'sdtune_open_form_button');

    // A text into a hidden field of gradio's.
    form.write = function (field, text) {
        const area = document.querySelector(`#${field} textarea, #${field} input`);
        area.value = text;
        area.dispatchEvent(new Event('input', {bubbles: true}));
    };

    form.hand = hand;
    function hand(field, text, button) {
        form.write(field, text);
        setTimeout(() => press(button), 50);
    }

    // The WebUI's own prompt and settings as one more sample line: a cat --n blurry --w 512 ...
    // (called by the button's event).
    form.fromTxt2img = function (lines) {
        const read = (id) =>
            (
                document.querySelector(
                    `#txt2img_${id} textarea, #txt2img_${id} input[type="number"], #txt2img_${id} input`,
                ) || {}
            ).value;
        const oneLine = (text) =>
            String(text || '')
                .replace(/\s+/g, ' ')
                .trim();
        const prompt = oneLine(read('prompt'));
        if (!prompt) return [lines];
        const settings = [
            ['n', oneLine(read('neg_prompt'))],
            ['w', read('width')],
            ['h', read('height')],
            ['d', read('seed')],
            ['l', read('cfg_scale')],
            ['s', read('steps')],
        ].filter(([, value]) => value !== undefined && value !== '' && !(Number(value) < 0));
        const line = [prompt, ...settings.map(([flag, value]) => `--${flag} ${value}`)].join(' ');
        return [[String(lines || '').trimEnd(), line].filter(Boolean).join('\n')];
    };

    const SHORT = {'concept.images': 'images'}; // ids that are not their settings' keys
    form.field = (path) => sdtune.byId('sdtune_' + (SHORT[path] || path).replace(/\./g, '_'));

    // The words on a field, in the page's language; '' where there is none of that name.
    form.label = function (path) {
        const field = form.field(path);
        const words = field && field.querySelector('label > span, span[data-testid="block-info"]');
        return words ? words.textContent.trim() : '';
    };

    // What stands in a field, for other pages of the tab.
    form.value = function (path) {
        const all = stored();
        return path in all ? all[path] : base[path] ? base[path][1] : '';
    };

    form.recommended = (path) => (base[path] ? base[path][1] : '');

    // The word that the chosen method teaches, where it teaches one.
    form.word = () => form.value(`${form.value('method')}.token`) || '';

    // Groups of other methods are hidden, not emptied.
    function showMethod(method) {
        for (const group of document.querySelectorAll('#sdtune_form [class*="sdtune-method-"]')) {
            group.classList.toggle('sdtune-hidden', !group.classList.contains('sdtune-method-' + method));
        }
    }

    form.about = function (about) {
        const model = about && about.model;
        // Another model, or the first one after none, has other recommendations.
        if (advised !== null && model && advised !== model) press('sdtune_restore_button');
        const problem = about && about.problem;
        const name = [model, about && about.family].filter(Boolean).join(' · ');
        sdtune.byId('sdtune_model').classList.toggle('sdtune-red', Boolean(problem));
        sdtune.text(
            'sdtune_model',
            problem ? `${model}: ${problem}` : model ? sdtune.t('Trains {model}', {model: name}) : '',
        );
    };
})(window.sdtune);
