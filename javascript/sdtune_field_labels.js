// Which field the server means when it names a setting by its key: one of the page that asked, else one of the form.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    // What is asked for at these addresses is typed into fields whose ids begin so.
    const PAGES = [
        [/^lora-tools/, 'lora_tool_'],
        [/^prepare/, 'prepare_'],
        [/^captions/, 'captions_'],
        [/^choices/, 'loose_'],
        [/^runs\/[^/]+\/choose/, 'choice_'],
    ];
    const OTHER_IDS = {captions_images: 'captions_folder', captions_extension: 'captions_ending'};
    // "train.batch_size", "concepts[1].images", "seeds[0]": the concept, the key, the place in a list
    const KEY = /"(?:concepts\[(\d+)\]\.)?((?:[a-z][a-z0-9_]*\.)?[a-z_]+)(?:\[(\d+)\])?"/g;
    const UNDECLARED = /"(name of the preset|name of the set)"/g; // fields that no setting stands behind

    // A sentence with labels in place of keys. path: of the request that it answers.
    sdtune.withLabels = function (text, path) {
        const prefix = (PAGES.find(([address]) => address.test(path || '')) || [])[1];
        return text
            .replace(KEY, (whole, concept, key, entry) => {
                const label = concept === undefined ? labelOf(key, prefix) : sdtune.form.label('concept.' + key);
                if (!label) return whole;
                const number = Number(concept) ? ` (${Number(concept) + 1})` : '';
                const place = entry === undefined ? '' : ' ' + t('(entry {n})', {n: Number(entry) + 1});
                return `"${label}"` + number + place;
            })
            .replace(UNDECLARED, (whole, words) => `"${t(words)}"`);
    };

    // A key without a section belongs to the page alone: its "name" is not the form's.
    function labelOf(key, prefix) {
        if (!prefix) return sdtune.form.label(key);
        const name = prefix + key.replace('.', '_');
        const own = wordsOn(OTHER_IDS[name] || name) || (key.includes('.') && wordsOn(key.replace('.', '_')));
        return own || (key.includes('.') ? sdtune.form.label(key) : '');
    }

    function wordsOn(name) {
        const field = sdtune.byId('sdtune_' + name);
        const words = field && field.closest('label') && field.closest('label').querySelector('span');
        return words ? words.textContent.trim() : '';
    }
})(window.sdtune);
