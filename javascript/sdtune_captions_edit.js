// Captions: many changed at once, and the trigger word. What would change is shown before it is done.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const captions = (sdtune.captions = sdtune.captions || {});
    const t = (...args) => sdtune.t(...args);
    const controls = () => sdtune.controls;

    captions.editing = function () {
        const {el} = sdtune;
        const {labelled, select, input, action, note} = controls();
        const kinds = select([
            ['add', t('Add at the end')],
            ['front', t('Move or add to the front')],
            ['remove', t('Remove')],
            ['replace', t('Replace a tag')],
            ['find', t('Find and replace')],
            ['regex', t('Replace by regular expression')],
            ['sort', t('Sort tags by alphabet')],
            ['dedupe', t('Remove repeated tags')],
            ['plain', t('Take out prompt syntax')],
        ]);
        kinds.addEventListener('change', updateFields);
        const parts = [
            labelled('captions_do', t('What to do'), kinds),
            labelled('captions_words', t('Tags'), input('')),
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
        setTimeout(updateFields);
        return parts;
    };

    function updateFields() {
        const kind = controls().value('captions_do');
        const words = sdtune.byId('sdtune_captions_words');
        const replacement = sdtune.byId('sdtune_captions_new');
        sdtune.show(words.parentElement, !['sort', 'dedupe', 'plain'].includes(kind));
        sdtune.show(replacement.parentElement, ['replace', 'find', 'regex'].includes(kind));
        const sought = {replace: t('Tag'), find: t('Words'), regex: t('Expression')}[kind];
        sdtune.text(words.parentElement.firstChild, sought || t('Tags'));
        words.placeholder = {replace: t('red hat'), find: t('red hat'), regex: ''}[kind] ?? t('red hat, snow');
        sdtune.text(replacement.parentElement.firstChild, kind === 'replace' ? t('New tags') : t('Replace with'));
    }

    captions.pruning = function () {
        const {el} = sdtune;
        const {labelled, input, action, note} = controls();
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

    const edit = () => ({
        do: controls().value('captions_do'),
        words: controls().value('captions_words'),
        new: controls().value('captions_new'),
        query: captions.query(),
    });

    async function preview() {
        const summary = await captions.ask('preview', edit(), 'captions_edit_note');
        if (summary)
            tell(
                'captions_edit_note',
                'captions_changes',
                summary,
                t('Captions that would change: {n}', {n: summary.count}),
            );
    }

    async function apply() {
        const done = await captions.change('edit', edit(), 'captions_edit_note');
        if (done)
            tell(
                'captions_edit_note',
                'captions_changes',
                done,
                t('Captions changed: {n}; not saved yet.', {n: done.count}),
            );
    }

    function tell(note, list, summary, text) {
        controls().say(note, summary.count ? text : t('No caption would change.'));
        sdtune.byId('sdtune_' + list).replaceChildren(...(summary.examples || []).map(changed));
    }

    // What was told of a change, once it is saved or taken back.
    captions.forgetEdits = function () {
        for (const id of ['edit', 'prune']) controls().say(`captions_${id}_note`, '');
        for (const id of ['changes', 'pruned']) sdtune.byId('sdtune_captions_' + id).replaceChildren();
    };

    function changed(example) {
        const {el} = sdtune;
        return el(
            'p',
            {},
            el('b', {}, example.name),
            el('del', {}, example.before || t('(empty)')),
            el('ins', {}, example.after || t('(empty)')),
        );
    }

    async function common() {
        const answer = await captions.ask(
            'common',
            {trigger: controls().value('captions_trigger')},
            'captions_prune_note',
        );
        if (!answer) return;
        const {el} = sdtune;
        controls().say('captions_prune_note', '');
        sdtune.text(
            'sdtune_captions_why',
            answer.tags.length ? t(answer.why) : t('No tag stands in nearly every caption.'),
        );
        sdtune
            .byId('sdtune_captions_often')
            .replaceChildren(
                ...answer.tags.map((tag) =>
                    el('label', {class: 'sdtune-tag-chip'}, el('input', {type: 'checkbox', value: tag}), tag),
                ),
            );
    }

    async function prune(onlyPreview) {
        const ticked = [...document.querySelectorAll('#sdtune_captions_often input:checked')]
            .map((box) => '"' + box.value.replace(/"/g, '""') + '"') // in quotes a tag means itself
            .join(', ');
        const summary = await captions.ask(
            'prune',
            {trigger: controls().value('captions_trigger'), tags: ticked, only_preview: onlyPreview},
            'captions_prune_note',
        );
        if (!summary) return;
        tell(
            'captions_prune_note',
            'captions_pruned',
            onlyPreview ? summary : {count: summary.count},
            onlyPreview
                ? t('Captions that would change: {n}', {n: summary.count})
                : t('Captions changed: {n}; not saved yet.', {n: summary.count}),
        );
        if (!onlyPreview) captions.refresh();
    }
})(window.sdtune);
