// Search over all settings: fields whose label, advice, key or name in other programs holds the words stay, and their
// groups open meanwhile; those above the groups are framed.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    let names = {}; // {id of a field: its names in other programs}
    const opened = new Set(); // groups that the search has opened, closed again at its end

    function begin() {
        const place = sdtune.byId('sdtune_search');
        if (!place) return setTimeout(begin, 500);
        if (place.firstChild) return;
        names = JSON.parse(place.dataset.names);
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

    // What a field is found by: its words as they are shown, its key and its names elsewhere, with and without
    // underscores.
    function textOf(field) {
        const keys = `${field.id} ${names[field.id] || ''}`;
        return `${field.textContent} ${keys} ${keys.replace(/_/g, ' ')}`.toLowerCase();
    }

    // "rate" is in "learning rate" and not in "generated"; what is not of Latin letters has no word starts.
    const atWordStart = (word) =>
        new RegExp((/^[a-z0-9]/.test(word) ? '(?<![a-z0-9])' : '') + word.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));

    function search(text) {
        const words = text.toLowerCase().split(/\s+/).filter(Boolean);
        const found = words.map(atWordStart);
        const matches = (field) => found.every((word) => word.test(textOf(field)));
        const groups = [...document.querySelectorAll('#sdtune_form .sdtune-group')];
        const above = [...document.querySelectorAll('#sdtune_form .sdtune-field')].filter(
            (field) => !field.closest('.sdtune-group, .sdtune-hidden'),
        );
        for (const field of above) field.classList.toggle('sdtune-found', Boolean(words.length) && matches(field));
        let count = words.length ? above.filter(matches).length : 0;
        for (const group of groups) {
            const fields = [...group.querySelectorAll('.sdtune-field')];
            const matching = fields.filter(matches);
            for (const field of fields) field.classList.toggle('sdtune-unmatched', !matching.includes(field));
            const some = Boolean(words.length && matching.length);
            group.classList.toggle('sdtune-searched', Boolean(words.length));
            group.classList.toggle('sdtune-unmatched', Boolean(words.length) && !matching.length);
            if (!group.classList.contains('sdtune-hidden')) count += matching.length;
            if (some && !isOpen(group)) opened.add(group);
            if (opened.has(group)) toggle(group, some);
            if (!words.length) opened.delete(group);
        }
        sdtune.text('sdtune_search_note', words.length ? t('Settings found: {n}', {n: count}) : '');
    }

    document.readyState === 'loading' ? document.addEventListener('DOMContentLoaded', begin) : begin();
})(window.sdtune);
