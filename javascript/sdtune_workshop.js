// The page for pictures: captions and preparing, and what both need: fields, notes, progress.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const workshop = (sdtune.workshop = {facts: {}});
    const t = (...given) => sdtune.t(...given);
    const STORE = 'sdtune_workshop';

    workshop.kept = function () {
        try {
            return JSON.parse(localStorage.getItem(STORE)) || {};
        } catch (problem) {
            return {};
        }
    };
    workshop.keep = function (name, value) {
        try {
            localStorage.setItem(STORE, JSON.stringify({...workshop.kept(), [name]: value}));
        } catch (problem) {
            /* private windows forget; the page still works */
        }
    };

    workshop.action = (id, label, act, extra) =>
        sdtune.el(
            'button',
            {type: 'button', id: 'sdtune_' + id, class: 'sdtune-button ' + (extra || ''), onclick: act},
            label,
        );

    // A labelled control that is kept over a reload.
    workshop.labelled = function (id, label, control, info) {
        control.id = 'sdtune_' + id;
        const kept = workshop.kept()[id];
        if (kept !== undefined) control.type === 'checkbox' ? (control.checked = kept) : (control.value = kept);
        control.addEventListener('change', () =>
            workshop.keep(id, control.type === 'checkbox' ? control.checked : control.value),
        );
        const words = sdtune.el('span', {class: 'sdtune-label'}, label);
        const hint = info && sdtune.el('span', {class: 'sdtune-hint'}, info);
        return control.type === 'checkbox'
            ? sdtune.el('label', {class: 'sdtune-tick-field'}, control, words, hint)
            : sdtune.el('label', {}, words, hint, control);
    };
    workshop.input = (hint, attributes) =>
        sdtune.el('input', {type: 'text', placeholder: hint || '', spellcheck: 'false', ...attributes});
    workshop.select = (choices) =>
        sdtune.el('select', {}, ...choices.map(([value, label]) => sdtune.el('option', {value}, label)));
    workshop.value = (id) => sdtune.byId('sdtune_' + id).value.trim();
    workshop.set = function (id, value) {
        const control = sdtune.byId('sdtune_' + id);
        control.value = value;
        control.dispatchEvent(new Event('change'));
    };

    // A declared setting as a control, and what was typed into it.
    workshop.field = (prefix, field) =>
        workshop.labelled(prefix + field.name, t(field.label), controlFor(field), field.info ? t(field.info) : '');

    function controlFor(field) {
        const {el} = sdtune;
        if (field.kind === 'choice') {
            const made = workshop.select(field.choices.map((one) => [one, one]));
            made.value = field.default;
            return made;
        }
        if (field.kind === 'bool') return Object.assign(el('input', {type: 'checkbox'}), {checked: field.default});
        if (field.kind === 'lines') return el('textarea', {rows: 2, spellcheck: 'false'});
        if (field.kind === 'int' || field.kind === 'float') {
            return el('input', {
                type: 'number',
                min: field.low,
                max: field.high,
                step: field.kind === 'int' ? 1 : 'any',
                value: field.default,
            });
        }
        return workshop.input('', {value: field.default});
    }

    workshop.typed = function (prefix, fields) {
        const found = {};
        for (const field of fields) {
            const made = sdtune.byId('sdtune_' + prefix + field.name);
            if (field.kind === 'bool') found[field.name] = made.checked;
            else if (field.kind === 'lines')
                found[field.name] = made.value
                    .split('\n')
                    .map((line) => line.trim())
                    .filter(Boolean);
            else if (field.kind === 'int' || field.kind === 'float')
                found[field.name] = made.value === '' ? field.default : Number(made.value);
            else found[field.name] = made.value.trim();
        }
        return found;
    };

    // A line that tells how the last thing went; red when it was refused.
    workshop.say = function (id, text, bad) {
        const line = sdtune.byId('sdtune_' + id);
        sdtune.text(line, text || '');
        line.classList.toggle('sdtune-box', Boolean(text) && Boolean(bad));
        line.classList.toggle('sdtune-red', Boolean(text) && Boolean(bad));
        line.setAttribute('role', bad ? 'alert' : 'status');
    };
    workshop.note = (id) => sdtune.el('p', {class: 'sdtune-note', id: 'sdtune_' + id, role: 'status'});

    const NAMES = {
        'loading the model': 'loading the model',
        'describing pictures': 'describing pictures',
        'saving captions': 'saving captions',
        'reading pictures': 'reading pictures',
        'looking for pictures': 'looking for pictures',
        'preparing pictures': 'preparing pictures',
        'waiting for the model': 'waiting for the model',
        'drawing class pictures': 'drawing class pictures',
    };
    workshop.busy = (work) => Boolean(work) && ['waiting', 'working'].includes(work.state);
    workshop.bar = (id) =>
        sdtune.el(
            'div',
            {class: 'sdtune-progress', id: 'sdtune_' + id, hidden: true, role: 'progressbar'},
            sdtune.el('div', {}),
        );
    workshop.progress = function (id, work) {
        const bar = sdtune.byId('sdtune_' + id);
        sdtune.show(bar, workshop.busy(work));
        bar.classList.toggle('sdtune-busy', !work || !work.total);
        if (work && work.total) bar.firstChild.style.width = `${(100 * work.done) / work.total}%`;
        return workshop.busy(work)
            ? t(NAMES[work.text] || '') + (work.total ? ` ${work.done} / ${work.total}` : ' …')
            : '';
    };

    workshop.goto = (name) =>
        [...document.querySelectorAll('#sdtune_pages > .tab-nav > button')][name === 'train' ? 0 : 1].click();

    // The two halves

    workshop.show = function (name) {
        workshop.keep('half', name);
        for (const button of document.querySelectorAll('#sdtune_workshop [data-half]')) {
            button.setAttribute('aria-pressed', button.dataset.half === name);
            sdtune.show('sdtune_half_' + button.dataset.half, button.dataset.half === name);
        }
    };

    function frame(root) {
        const {el} = sdtune;
        workshop.facts = JSON.parse(root.dataset.facts);
        const half = (name, label) =>
            el(
                'button',
                {type: 'button', class: 'sdtune-button', 'data-half': name, onclick: () => workshop.show(name)},
                label,
            );
        root.append(
            el(
                'div',
                {class: 'sdtune-buttons sdtune-halves'},
                half('captions', t('Captions')),
                half('prepare', t('Resize, crop, background')),
            ),
            el('div', {id: 'sdtune_half_captions'}),
            el('div', {id: 'sdtune_half_prepare', hidden: true}),
        );
        sdtune.captions.frame(sdtune.byId('sdtune_half_captions'));
        sdtune.prepare.frame(sdtune.byId('sdtune_half_prepare'));
        workshop.show(workshop.kept().half === 'prepare' ? 'prepare' : 'captions');
    }

    function begin() {
        const root = sdtune.byId('sdtune_workshop');
        if (!root) return setTimeout(begin, 500);
        if (root.dataset.begun) return;
        root.dataset.begun = '1';
        new IntersectionObserver((seen) => {
            if (!seen.some((one) => one.isIntersecting)) return;
            if (!root.firstChild) frame(root);
            sdtune.captions.opened();
            sdtune.prepare.opened();
        }).observe(root);
    }
    document.readyState === 'loading' ? document.addEventListener('DOMContentLoaded', begin) : begin();
})(window.sdtune);
