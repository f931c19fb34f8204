// What was changed from the defaults, as one line above Start to copy: the command line takes it behind --set.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    const changes = (sdtune.changes = {});

    // Called whenever a field has changed.
    changes.draw = function () {
        const place = sdtune.byId('sdtune_changes');
        if (!place || !sdtune.result) return;
        if (!place.firstChild)
            place.append(
                sdtune.el('span', {class: 'sdtune-soft'}, t('Changed')),
                sdtune.el('code', {id: 'sdtune_changes_line'}),
                sdtune.result.copy(line, 'Copy'),
            );
        sdtune.show(place, line());
        sdtune.text('sdtune_changes_line', line());
    };

    const line = () => sdtune.form.changes().map(assignment).join(' ');

    // train.batch_size=2; what holds blanks or quotes stands in quotes, as a shell wants it.
    const PLAIN = /^[\w.,:=+/-]*$/;
    function assignment([path, value]) {
        const key = path.replace(/^concept\./, 'concepts.0.');
        const text = `${key}=${value}`.replace(/\n/g, ', ');
        return PLAIN.test(text) ? text : JSON.stringify(text);
    }
})(window.sdtune);
