// Search over all settings: fields whose label, advice or key holds the words stay, and their groups open meanwhile.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    const opened = new Set(); // groups that the search has opened, closed again at its end

    function begin() {
        const place = sdtune.byId('sdtune_search');
        if (!place) return setTimeout(begin, 500);
        if (place.firstChild) return;
        const field = sdtune.el('input', {
            type: 'search',
            id: 'sdtune_search_words',
            placeholder: t('Search all settings'),
            'aria-label': t('Search all settings'),
            spellcheck: 'false',
            autocomplete: 'off',
        });
        field.addEventListener('input', () => search(field.value));
        place.append(field, sdtune.el('p', {class: 'sdtune-soft', id: 'sdtune_search_note', role: 'status'}));
    }

    const isOpen = (group) => Boolean(group.querySelector('.label-wrap.open'));

    function toggle(group, open) {
        if (isOpen(group) !== open) group.querySelector('.label-wrap').click();
    }

    // What a field is found by: its words as they are shown, and its key, with and without underscores.
    const textOf = (field) => `${field.textContent} ${field.id} ${field.id.replace(/_/g, ' ')}`.toLowerCase();

    function search(text) {
        const words = text.toLowerCase().split(/\s+/).filter(Boolean);
        const groups = [...document.querySelectorAll('#sdtune_form .sdtune-group')];
        let count = 0;
        for (const group of groups) {
            const fields = [...group.querySelectorAll('.sdtune-field')];
            const matching = fields.filter((field) => words.every((word) => textOf(field).includes(word)));
            for (const field of fields) field.classList.toggle('sdtune-unmatched', !matching.includes(field));
            const matches = Boolean(words.length && matching.length);
            group.classList.toggle('sdtune-searched', Boolean(words.length));
            group.classList.toggle('sdtune-unmatched', Boolean(words.length) && !matching.length);
            if (!group.classList.contains('sdtune-hidden')) count += matching.length;
            if (matches && !isOpen(group)) opened.add(group);
            if (opened.has(group)) toggle(group, matches);
            if (!words.length) opened.delete(group);
        }
        sdtune.text('sdtune_search_note', words.length ? t('{n} settings', {n: count}) : '');
    }

    document.readyState === 'loading' ? document.addEventListener('DOMContentLoaded', begin) : begin();
})(window.sdtune);
