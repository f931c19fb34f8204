// Further concepts as rows; what they say is kept in one field of the form, as JSON.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const concepts = (sdtune.concepts = {});
    const t = (...args) => sdtune.t(...args);
    const field = (name, label, kind) => ({name, label: t(label), kind: kind || 'text'});
    const fields = () => [
        field('images', 'Pictures'),
        field('prompt', 'Trigger words'),
        field('repeats', 'Repeats', 'number'),
        field('conditioning_data_dir', 'Mask pictures'),
        field('class_images', 'Class pictures'),
        field('class_prompt', 'Class prompt'),
        field('num_class_images', 'Number of class pictures', 'number'),
    ];
    let rows = [];
    let written = '';

    // Called with what the field holds, after every change of it.
    concepts.draw = function (text) {
        const json = String(text || '');
        if (json === written && sdtune.byId('sdtune_concepts').firstChild) return;
        written = json;
        try {
            rows = json ? JSON.parse(json) : [];
        } catch (problem) {
            rows = [];
        }
        paint();
    };

    function write() {
        const filled = rows.filter((row) => Object.keys(row).length);
        written = filled.length ? JSON.stringify(filled) : '';
        const area = document.querySelector('#sdtune_further_concepts textarea');
        area.value = written;
        area.dispatchEvent(new Event('input', {bubbles: true}));
    }

    function change(row, setting, value) {
        if (value.trim() === '') delete row[setting.name];
        else row[setting.name] = setting.kind === 'number' ? Number(value) : value.trim();
        write();
    }

    function input(row, setting) {
        const control = sdtune.el('input', {
            type: setting.kind,
            min: setting.kind === 'number' ? 0 : null,
            spellcheck: 'false',
            value: row[setting.name] ?? '',
            onchange: () => change(row, setting, control.value),
        });
        return sdtune.el('label', {}, sdtune.el('span', {}, setting.label), control);
    }

    function paint() {
        const {el} = sdtune;
        const button = (label, act) =>
            el('button', {type: 'button', class: 'sdtune-button sdtune-small', onclick: act}, label);
        const boxes = rows.map((row, i) =>
            el(
                'fieldset',
                {class: 'sdtune-concept'},
                el(
                    'legend',
                    {},
                    t('Concept {n}', {n: i + 2}),
                    ' ',
                    button(t('Remove'), () => {
                        rows.splice(i, 1);
                        write();
                        paint();
                    }),
                ),
                ...fields().map((setting) => input(row, setting)),
            ),
        );
        const parts = [
            ...boxes,
            button(t('Add a concept'), () => {
                rows.push({});
                paint();
                sdtune.byId('sdtune_concepts').querySelector('fieldset:last-of-type input').focus();
            }),
            el('p', {class: 'sdtune-hint'}, t('Another subject or style, trained together with the first one.')),
        ];
        const place = sdtune.byId('sdtune_concepts');
        sdtune.keepFocus(place, () => place.replaceChildren(...parts));
    }
})(window.sdtune);
