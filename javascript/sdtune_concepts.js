// Further concepts as rows; what they say is kept in one field of the form, as JSON.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const concepts = (sdtune.concepts = {});
    const t = (...given) => sdtune.t(...given);
    const field = (name, label, kind) => ({name, label: t(label), kind: kind || 'text'});
    const fields = () => [
        field('images', 'Pictures'),
        field('prompt', 'Trigger words'),
        field('repeats', 'Repeats', 'number'),
        field('class_images', 'Class pictures'),
        field('class_prompt', 'Class prompt'),
        field('num_class_images', 'Number of class pictures', 'number'),
    ];
    let rows = [];
    let written = '';

    // Called with what the field holds, after every change of it.
    concepts.draw = function (text) {
        const given = String(text || '');
        if (given === written && sdtune.byId('sdtune_concepts').firstChild) return;
        written = given;
        try {
            rows = given ? JSON.parse(given) : [];
        } catch (problem) {
            rows = [];
        }
        paint();
    };

    function write() {
        const said = rows.filter((row) => Object.keys(row).length);
        written = said.length ? JSON.stringify(said) : '';
        const area = document.querySelector('#sdtune_further_concepts textarea');
        area.value = written;
        area.dispatchEvent(new Event('input', {bubbles: true}));
    }

    function change(row, one, value) {
        if (value.trim() === '') delete row[one.name];
        else row[one.name] = one.kind === 'number' ? Number(value) : value.trim();
        write();
    }

    function input(row, one) {
        const made = sdtune.el('input', {
            type: one.kind,
            min: one.kind === 'number' ? 0 : null,
            spellcheck: 'false',
            value: row[one.name] ?? '',
            onchange: () => change(row, one, made.value),
        });
        return sdtune.el('label', {}, sdtune.el('span', {}, one.label), made);
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
                ...fields().map((one) => input(row, one)),
            ),
        );
        sdtune.byId('sdtune_concepts').replaceChildren(
            ...boxes,
            button(t('Add a concept'), () => {
                rows.push({});
                paint();
                sdtune.byId('sdtune_concepts').querySelector('fieldset:last-of-type input').focus();
            }),
            el('p', {class: 'sdtune-hint'}, t('Another subject or style, trained together with the first one.')),
        );
    }
})(window.sdtune);
