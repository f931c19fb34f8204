// Number fields: a browser drops signs that are in no number, and what is left reads as another one: "512,768" as
// 512768. A comma becomes the point that was meant; for anything else it is said that one number goes here.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const PART = /^[\d.eE+-]*$/;
    const NOTE = 'sdtune-number-note';

    const numberField = (event) =>
        event.target.type === 'number' && event.target.closest('#sdtune_pages') ? event.target : null;
    const placeOf = (field) => field.closest('.sdtune-field, label') || field.parentElement;

    function say(field) {
        if (placeOf(field).querySelector('.' + NOTE)) return;
        const words = sdtune.t('One number goes here, with a point where its fraction begins, such as 0.5.');
        placeOf(field).append(sdtune.el('span', {class: 'sdtune-hint ' + NOTE, role: 'alert'}, words));
    }

    function forget(field) {
        const note = placeOf(field).querySelector('.' + NOTE);
        if (note) note.remove();
    }

    // As if it were typed: there is no other way to put a point behind the digits of a number field.
    const insert = (text) => document.execCommand('insertText', false, text);

    document.addEventListener(
        'beforeinput',
        (event) => {
            const field = numberField(event);
            const text = (event.data || '').trim();
            if (!field || !event.data || (text && PART.test(text))) return;
            const number = text.replace(/,/g, '.');
            const isNumber = text && PART.test(number);
            if (!isNumber) say(field);
            if (event.data.length > 1) {
                event.preventDefault();
                if (isNumber) insert(number);
            } else if (isNumber) typedComma(field);
        },
        true,
    );

    // A browser whose language writes a comma takes it, and tells so at once.
    function typedComma(field) {
        let taken = false;
        const heard = () => (taken = true);
        field.addEventListener('input', heard, {once: true});
        setTimeout(() => {
            field.removeEventListener('input', heard);
            if (!taken) insert('.');
        }, 0);
    }

    document.addEventListener('focusin', (event) => numberField(event) && forget(event.target), true);
    document.addEventListener(
        'input',
        (event) =>
            numberField(event) && event.target.value === '' && !event.target.validity.badInput && forget(event.target),
        true,
    );
})(window.sdtune);
