// Fields that stand elsewhere than recommended, by a preset or a person, are marked; one click takes each back.
// The headers of gradio's accordions, which a mouse alone can open, are made buttons for the keyboard too.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const changedFields = (sdtune.changedFields = {});
    const t = (...args) => sdtune.t(...args);
    // What is the run's own, and has nothing that is recommended.
    const OWN = /^(name|method|concept\.(images|prompt)|further_concepts)$/;

    const place = (path) => sdtune.byId('sdtune_' + path.replace(/\./g, '_'));

    // recommended: what stands in the field of a fresh form; changed: whether something else stands there.
    changedFields.mark = function (path, recommended, changed) {
        const field = !OWN.test(path) && place(path);
        if (!field) return;
        const present = field.querySelector(':scope > .sdtune-back');
        if (present && changed) return sayWhereTo(present, recommended);
        if (!present && !changed) return;
        field.classList.toggle('sdtune-differs', changed);
        if (changed) field.append(back(path, recommended));
        else remove(present, field);
        count(field.closest('.sdtune-group'));
    };

    // Whoever pressed it by the keyboard goes on from the field.
    function remove(button, field) {
        const next = button === document.activeElement && field.querySelector('input, textarea');
        button.remove();
        if (next) next.focus();
    }

    function back(path, recommended) {
        const act = () => sdtune.form.fill({[path]: sdtune.form.recommended(path)});
        const button = sdtune.el('button', {type: 'button', class: 'sdtune-back', onclick: act}, '↺');
        sayWhereTo(button, recommended);
        return button;
    }

    // Another model has other recommendations for a field that stays as it was typed.
    function sayWhereTo(button, recommended) {
        button.title = t('Back to {value}', {value: shown(recommended)});
        button.setAttribute('aria-label', button.title);
    }

    const shown = (value) =>
        value === true
            ? t('ticked')
            : value === false
              ? t('not ticked')
              : String(value ?? '') === ''
                ? t('empty')
                : value;

    // How many fields of a group that is closed are marked.
    function count(group) {
        const header = group && group.querySelector('.label-wrap');
        const title = header && header.firstElementChild;
        if (title) title.dataset.changed = group.querySelectorAll('.sdtune-differs').length || '';
    }

    changedFields.begin = function () {
        for (const header of document.querySelectorAll('#sdtune_form .label-wrap')) {
            header.tabIndex = 0;
            header.setAttribute('role', 'button');
            const tell = () => header.setAttribute('aria-expanded', header.classList.contains('open'));
            tell();
            new MutationObserver(tell).observe(header, {attributes: true, attributeFilter: ['class']});
            header.addEventListener('keydown', (event) => {
                if (event.target !== header || !['Enter', ' '].includes(event.key)) return;
                event.preventDefault();
                header.click();
            });
        }
    };
})(window.sdtune);
