// What was changed from the defaults, counted in a line above Start; unfolded or copied, the command line takes it
// behind --set.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    const changes = (sdtune.changes = {});

    // Called whenever a field has changed.
    changes.draw = function () {
        const place = sdtune.byId('sdtune_changes');
        if (!place || !sdtune.result) return;
        if (!place.firstChild) frame(place);
        sdtune.show(place, line());
        sdtune.text('sdtune_changes_count', t('Settings changed: {n}', {n: sdtune.form.changes().length}));
        sdtune.text('sdtune_changes_line', line());
    };

    function frame(place) {
        const {el} = sdtune;
        const all = el('code', {id: 'sdtune_changes_line', hidden: true});
        const show = el(
            'button',
            {
                type: 'button',
                class: 'sdtune-button sdtune-small',
                'aria-expanded': 'false',
                'aria-controls': all.id,
                onclick: () => {
                    all.hidden = !all.hidden;
                    show.setAttribute('aria-expanded', String(!all.hidden));
                    show.textContent = t(all.hidden ? 'Show' : 'Hide');
                },
            },
            t('Show'),
        );
        const copy = sdtune.result.copy(line, 'Copy');
        copy.classList.add('sdtune-small');
        place.append(el('span', {class: 'sdtune-soft', id: 'sdtune_changes_count'}), show, copy, all);
    }

    const line = () => sdtune.form.changes().map(assignment).join(' ');

    // train.batch_size=2; what holds blanks or quotes stands in quotes, as a shell wants it.
    const PLAIN = /^[\w.,:=+/-]*$/;
    function assignment([path, value]) {
        const key = path.replace(/^concept\./, 'concepts.0.');
        const text = `${key}=${value}`.replace(/\n/g, ', ');
        return PLAIN.test(text) ? text : JSON.stringify(text);
    }
})(window.sdtune);
