// Controls of the page Pictures and elsewhere: labelled fields that survive a reload, buttons, notes, progress bars.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const controls = (sdtune.controls = {});
    const t = (...args) => sdtune.t(...args);
    const STORE = 'sdtune_workshop';

    controls.stored = function () {
        try {
            return JSON.parse(localStorage.getItem(STORE)) || {};
        } catch (problem) {
            return {};
        }
    };
    controls.store = function (name, value) {
        try {
            localStorage.setItem(STORE, JSON.stringify({...controls.stored(), [name]: value}));
        } catch (problem) {
            /* private windows forget; the page still works */
        }
    };

    controls.action = (id, label, act, extra) =>
        sdtune.el(
            'button',
            {type: 'button', id: 'sdtune_' + id, class: 'sdtune-button ' + (extra || ''), onclick: act},
            label,
        );

    // A labelled control that is kept over a reload.
    controls.labelled = function (id, label, control, info) {
        control.id = 'sdtune_' + id;
        const stored = controls.stored()[id];
        if (stored !== undefined) control.type === 'checkbox' ? (control.checked = stored) : (control.value = stored);
        control.addEventListener('change', () =>
            controls.store(id, control.type === 'checkbox' ? control.checked : control.value),
        );
        const words = sdtune.el('span', {class: 'sdtune-label'}, label);
        const hint = info && sdtune.el('span', {class: 'sdtune-hint'}, info);
        return control.type === 'checkbox'
            ? sdtune.el('label', {class: 'sdtune-tick-field'}, control, words, hint)
            : sdtune.el('label', {}, words, hint, control);
    };
    controls.input = (hint, attributes) =>
        sdtune.el('input', {type: 'text', placeholder: hint || '', spellcheck: 'false', ...attributes});
    controls.select = (choices) =>
        sdtune.el('select', {}, ...choices.map(([value, label]) => sdtune.el('option', {value}, label)));
    controls.value = (id) => sdtune.byId('sdtune_' + id).value.trim();
    controls.set = function (id, value) {
        const control = sdtune.byId('sdtune_' + id);
        control.value = value;
        control.dispatchEvent(new Event('change'));
    };

    // A declared setting as a control, and what was typed into it. Its advice may name settings of the form.
    controls.field = (prefix, field) =>
        controls.labelled(
            prefix + field.name,
            t(field.label),
            controlFor(field),
            field.info ? sdtune.withLabels(t(field.info)) : '',
        );

    function controlFor(field) {
        const {el} = sdtune;
        if (field.kind === 'choice') {
            const select = controls.select(field.choices.map((choice) => [choice, choice]));
            select.value = field.default;
            return select;
        }
        if (field.kind === 'bool') return Object.assign(el('input', {type: 'checkbox'}), {checked: field.default});
        if (['lines', 'weighted'].includes(field.kind)) return el('textarea', {rows: 2, spellcheck: 'false'});
        if (field.kind === 'int' || field.kind === 'float') {
            return el('input', {
                type: 'number',
                min: field.low,
                max: field.high,
                step: field.kind === 'int' ? 1 : 'any',
                value: field.default,
            });
        }
        return controls.input('', {value: field.default});
    }

    controls.values = function (prefix, fields) {
        const values = {};
        for (const field of fields) {
            const control = sdtune.byId('sdtune_' + prefix + field.name);
            if (field.kind === 'bool') values[field.name] = control.checked;
            else if (['lines', 'weighted'].includes(field.kind))
                values[field.name] = control.value
                    .split('\n')
                    .map((line) => line.trim())
                    .filter(Boolean);
            else if (field.kind === 'int' || field.kind === 'float')
                values[field.name] = control.value === '' ? field.default : Number(control.value);
            else values[field.name] = control.value.trim();
        }
        return values;
    };

    // A line that tells how the last thing went; red when it was refused.
    // asked: when the server was asked for it. What a click was refused with since then is newer, and stays.
    controls.say = function (id, text, bad, asked) {
        const line = sdtune.byId('sdtune_' + id);
        if (asked < Number(line.dataset.refused)) return;
        if (bad && asked === undefined) line.dataset.refused = performance.now();
        sdtune.text(line, text || '');
        line.classList.toggle('sdtune-box', Boolean(text) && Boolean(bad));
        line.classList.toggle('sdtune-red', Boolean(text) && Boolean(bad));
        line.setAttribute('role', bad ? 'alert' : 'status');
        if (!text || !bad) return;
        sdtune.linkFields(line, true);
        goWithItsCause(id, text);
    };

    // A refusal goes as soon as a field beside it is changed.
    function goWithItsCause(id, text) {
        const line = sdtune.byId('sdtune_' + id);
        const changed = () => line.dataset.text === text && controls.say(id, '');
        (line.closest('.sdtune-card') || line.parentElement).addEventListener('input', changed, {once: true});
    }

    controls.note = (id) => sdtune.el('p', {class: 'sdtune-note', id: 'sdtune_' + id, role: 'status'});

    const NAMES = {
        'loading the model': 'loading the model',
        'describing pictures': 'describing pictures',
        'saving captions': 'saving captions',
        'reading pictures': 'reading pictures',
        'looking at what the VAE keeps': 'looking at what the VAE keeps',
        'looking for pictures': 'looking for pictures',
        'preparing pictures': 'preparing pictures',
        'waiting for the model': 'waiting for the model',
        'drawing class pictures': 'drawing class pictures',
        'reading files': 'reading files',
        resizing: 'resizing',
        merging: 'merging',
        extracting: 'extracting',
        writing: 'writing',
    };
    controls.busy = (work) => Boolean(work) && ['waiting', 'working'].includes(work.state);
    controls.bar = (id) =>
        sdtune.el(
            'div',
            {class: 'sdtune-progress', id: 'sdtune_' + id, hidden: true, role: 'progressbar', 'aria-valuemin': 0},
            sdtune.el('div', {}),
        );
    controls.progress = function (id, work) {
        const bar = sdtune.byId('sdtune_' + id);
        sdtune.show(bar, controls.busy(work));
        bar.classList.toggle('sdtune-busy', !work || !work.total);
        if (work && work.total) bar.firstChild.style.width = `${(100 * work.done) / work.total}%`;
        const {text, done, total} = work || {};
        const name = t(NAMES[text] || '');
        const facts = {'aria-label': name, 'aria-valuenow': total && done, 'aria-valuemax': total};
        for (const [attribute, fact] of Object.entries(facts))
            fact || fact === 0 ? bar.setAttribute(attribute, fact) : bar.removeAttribute(attribute);
        return controls.busy(work) ? name + (work.total ? ` ${work.done} / ${work.total}` : ' …') : '';
    };
})(window.sdtune);
