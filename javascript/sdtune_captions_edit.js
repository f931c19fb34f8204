// Captions: many changed at once, and the trigger word. What would change is shown before it is done.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const captions = (sdtune.captions = sdtune.captions || {});
    const t = (...given) => sdtune.t(...given);
    const shop = () => sdtune.workshop;

    captions.editing = function () {
        const {el} = sdtune;
        const {labelled, select, input, action, note} = shop();
        const kinds = select([
            ['add', t('Add at the end')],
            ['front', t('Move or add to the front')],
            ['remove', t('Remove')],
            ['replace', t('Replace a tag')],
            ['regex', t('Replace by regular expression')],
            ['sort', t('Sort tags by alphabet')],
            ['dedupe', t('Remove repeated tags')],
        ]);
        kinds.addEventListener('change', wanted);
        const parts = [
            labelled('captions_do', t('What to do'), kinds),
            labelled('captions_words', t('Tags'), input(t('red hat, snow'))),
            labelled('captions_new', t('New tags'), input('')),
            el(
                'div',
                {class: 'sdtune-buttons'},
                action('captions_preview', t('Preview'), preview),
                action('captions_apply', t('Apply'), apply, 'sdtune-strong'),
            ),
            note('captions_edit_note'),
            el('div', {id: 'sdtune_captions_changes', class: 'sdtune-changes'}),
        ];
        setTimeout(wanted);
        return parts;
    };

    function wanted() {
        const kind = shop().value('captions_do');
        sdtune.show(sdtune.byId('sdtune_captions_words').parentElement, !['sort', 'dedupe'].includes(kind));
        sdtune.show(sdtune.byId('sdtune_captions_new').parentElement, ['replace', 'regex'].includes(kind));
        sdtune.text(
            sdtune.byId('sdtune_captions_words').parentElement.firstChild,
            kind === 'regex' ? t('Expression') : t('Tags'),
        );
    }

    captions.pruning = function () {
        const {el} = sdtune;
        const {labelled, input, action, note} = shop();
        return [
            labelled('captions_trigger', t('The word that stands for your subject'), input(t('ron'))),
            action('captions_common', t('Find tags that all have'), common),
            el('p', {class: 'sdtune-soft', id: 'sdtune_captions_why'}),
            el('div', {class: 'sdtune-cloud', id: 'sdtune_captions_often'}),
            el(
                'div',
                {class: 'sdtune-buttons'},
                action('captions_prune_preview', t('Preview'), () => prune(true)),
                action('captions_prune', t('Put it in front, prune the ticked'), () => prune(false), 'sdtune-strong'),
            ),
            note('captions_prune_note'),
            el('div', {id: 'sdtune_captions_pruned', class: 'sdtune-changes'}),
        ];
    };

    // Doing

    const wish = () => ({
        do: shop().value('captions_do'),
        words: shop().value('captions_words'),
        new: shop().value('captions_new'),
        query: captions.query(),
    });

    async function preview() {
        const found = await captions.ask('preview', wish(), 'captions_edit_note');
        if (found)
            tell(
                'captions_edit_note',
                'captions_changes',
                found,
                t('Captions that would change: {n}', {n: found.count}),
            );
    }

    async function apply() {
        const done = await captions.change('edit', wish(), 'captions_edit_note');
        if (done)
            tell(
                'captions_edit_note',
                'captions_changes',
                done,
                t('Captions changed: {n}; not saved yet.', {n: done.count}),
            );
    }

    function tell(note, list, found, text) {
        shop().say(note, found.count ? text : t('No caption would change.'));
        sdtune.byId('sdtune_' + list).replaceChildren(...(found.examples || []).map(changed));
    }

    function changed(one) {
        const {el} = sdtune;
        return el(
            'p',
            {},
            el('b', {}, one.name),
            el('del', {}, one.before || t('(empty)')),
            el('ins', {}, one.after || t('(empty)')),
        );
    }

    async function common() {
        const found = await captions.ask('common', {trigger: shop().value('captions_trigger')}, 'captions_prune_note');
        if (!found) return;
        const {el} = sdtune;
        shop().say('captions_prune_note', '');
        sdtune.text(
            'sdtune_captions_why',
            found.tags.length ? t(found.why) : t('No tag stands in nearly every caption.'),
        );
        sdtune
            .byId('sdtune_captions_often')
            .replaceChildren(
                ...found.tags.map((tag) =>
                    el('label', {class: 'sdtune-tag-chip'}, el('input', {type: 'checkbox', value: tag}), tag),
                ),
            );
    }

    async function prune(look) {
        const ticked = [...document.querySelectorAll('#sdtune_captions_often input:checked')]
            .map((one) => one.value)
            .join(', ');
        const found = await captions.ask(
            'prune',
            {trigger: shop().value('captions_trigger'), tags: ticked, only_preview: look},
            'captions_prune_note',
        );
        if (!found) return;
        tell(
            'captions_prune_note',
            'captions_pruned',
            look ? found : {count: found.count},
            look
                ? t('Captions that would change: {n}', {n: found.count})
                : t('Captions changed: {n}; not saved yet.', {n: found.count}),
        );
        if (!look) captions.refresh();
    }
})(window.sdtune);
