// Any files that the WebUI has, of whatever past, drawn side by side.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const anyFiles = (sdtune.anyFiles = {});
    const t = (...args) => sdtune.t(...args);
    const MAX_NAMES = 300;
    let panel = null;
    let listing = {kinds: {}, choices: []};
    const picked = new Set();

    const value = (name) => sdtune.byId('sdtune_loose_' + name).value.trim();
    const path = () =>
        sdtune.byId('sdtune_loose_name') ? 'choices/' + encodeURIComponent(value('name') || 'compared') : '';

    anyFiles.begin = function () {
        const place = sdtune.byId('sdtune_loose');
        if (place && !place.firstChild) frame(place);
    };

    function frame(place) {
        const {el} = sdtune;
        panel = sdtune.comparison('loose', {
            path,
            own: () => ({kind: value('kind'), of: [...picked], pictures: value('pictures')}),
        });
        const field = (name, label, hint) =>
            el(
                'label',
                {},
                el('span', {}, t(label)),
                el('input', {type: 'text', id: 'sdtune_loose_' + name, placeholder: hint}),
            );
        const kinds = el(
            'select',
            {id: 'sdtune_loose_kind', onchange: () => (picked.clear(), list())},
            ...Object.entries(sdtune.kinds()).map(([kind, name]) => el('option', {value: kind}, t(name))),
        );
        const filter = el('input', {
            type: 'search',
            id: 'sdtune_loose_filter',
            placeholder: t('Filter'),
            oninput: list,
        });
        place.append(
            el(
                'details',
                {class: 'sdtune-card', ontoggle: (event) => event.currentTarget.open && load()},
                el('summary', {}, el('h4', {}, t('Compare any files'))),
                el(
                    'p',
                    {class: 'sdtune-soft'},
                    t(
                        'Files of any past and any program are drawn side by side with the same prompts and seeds. ' +
                            'With pictures of the subject they are ranked too.',
                    ),
                ),
                panel.fields(
                    t('Prompts, one a line'),
                    el('label', {}, el('span', {}, t('Kind')), kinds),
                    field('name', 'Name of the comparison', 'compared'),
                    el(
                        'div',
                        {class: 'sdtune-wide'},
                        el('span', {id: 'sdtune_loose_count'}),
                        filter,
                        el('div', {class: 'sdtune-files', id: 'sdtune_loose_files'}),
                    ),
                    el(
                        'label',
                        {class: 'sdtune-wide'},
                        el('span', {}, t('Folder with pictures of the subject, to rank by; may be empty')),
                        el('input', {type: 'text', id: 'sdtune_loose_pictures'}),
                    ),
                ),
                ...panel.rest(),
                el('p', {class: 'sdtune-links', id: 'sdtune_loose_earlier'}),
            ),
        );
        for (const name of ['stop', 'sure']) sdtune.show('sdtune_loose_' + name, false);
    }

    async function load() {
        listing = await sdtune.call('choices').catch(() => listing);
        list();
        earlier();
    }

    function list() {
        const {el} = sdtune;
        const searched = value('filter').toLowerCase();
        const names = (listing.kinds[value('kind')] || []).filter(
            (name) => name.toLowerCase().includes(searched) || picked.has(name),
        );
        sdtune.byId('sdtune_loose_files').replaceChildren(
            ...names.slice(0, MAX_NAMES).map((name) => {
                const box = el('input', {
                    type: 'checkbox',
                    onchange: () => {
                        box.checked ? picked.add(name) : picked.delete(name);
                        count();
                        panel.estimate();
                    },
                });
                box.checked = picked.has(name);
                return el('label', {title: name}, box, el('span', {}, name));
            }),
        );
        count();
    }

    const count = () => sdtune.text('sdtune_loose_count', t('Files to compare: {n}', {n: picked.size}));

    // What was compared before, to look at again.
    function earlier() {
        const {el} = sdtune;
        const open = (name) => (event) => {
            event.preventDefault();
            sdtune.byId('sdtune_loose_name').value = name;
            panel.refresh();
        };
        sdtune
            .byId('sdtune_loose_earlier')
            .replaceChildren(
                ...(listing.choices.length ? [t('Compared earlier:'), ' '] : []),
                ...listing.choices.slice(0, 20).map((name) => el('a', {href: '#', onclick: open(name)}, name)),
            );
    }
})(window.sdtune);
