// A field that a sentence names in quotes becomes a button there: it opens what the field is folded away in, and puts
// the keyboard's focus into it.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const LABEL = /"([^"\n]{1,80})"( of concept \d| [(（]\d)?/; // a further concept's field is in a row of its own
    const CONTROL = 'textarea, select, input:not([type="range"])';
    const PAGES = '#sdtune_workshop, #sdtune_lora_tools, #sdtune_form';

    // place: what holds the sentences. open: also open what the first field is folded away in.
    sdtune.linkFields = function (place, open) {
        const fields = fieldsNear(place);
        const texts = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
        const found = [];
        while (texts.nextNode()) if (!texts.currentNode.parentNode.closest('button')) found.push(texts.currentNode);
        const named = found.flatMap((text) => link(text, fields));
        if (open && named.length) unfold(named[0]);
    };

    // {label: its field}, of the page that the place is on; what stands nearer counts first.
    function fieldsNear(place) {
        const fields = {};
        const near = [place.closest('.sdtune-card'), place.closest(PAGES), sdtune.byId('sdtune_form')];
        for (const part of near.filter(Boolean)) {
            for (const field of part.querySelectorAll('.sdtune-field, label:has(> .sdtune-label)')) {
                const label = field.querySelector('.sdtune-label, label > span, span[data-testid="block-info"]');
                const name = label && label.textContent.trim();
                const usable = field.querySelector(CONTROL) && !field.closest('.sdtune-hidden, .sdtune-card[hidden]');
                if (name && usable && !(name in fields)) fields[name] = field;
            }
        }
        return fields;
    }

    // The fields that a text names.
    function link(text, fields) {
        const named = [];
        for (let match; (match = LABEL.exec(text.data)); ) {
            const label = [match[1], sdtune.t(match[1])].find((words) => Object.hasOwn(fields, words));
            const name = text.splitText(match.index + 1);
            text = name.splitText(match[1].length).splitText(1); // behind the closing quote
            if (!label || match[2]) continue;
            named.push(fields[label]);
            const go = () => show(fields[label]);
            name.replaceWith(sdtune.el('button', {type: 'button', class: 'sdtune-field-link', onclick: go}, label));
        }
        return named;
    }

    function unfold(field) {
        const words = sdtune.byId('sdtune_search_words');
        if (words && field.closest('.sdtune-unmatched')) {
            words.value = '';
            words.dispatchEvent(new Event('input'));
        }
        for (let part = field.closest('details'); part; part = part.parentNode.closest('details')) part.open = true;
        const group = field.closest('.sdtune-group');
        if (group && !group.querySelector('.label-wrap.open')) group.querySelector('.label-wrap').click();
    }

    async function show(field) {
        unfold(field);
        const control = field.querySelector('input:checked') || field.querySelector(CONTROL);
        for (let tries = 0; !control.offsetParent && tries < 20; tries++)
            await new Promise((done) => setTimeout(done, 50)); // until the group is open
        field.scrollIntoView({block: 'center'});
        control.focus({preventScroll: true});
    }
})(window.sdtune);
