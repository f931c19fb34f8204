// Open settings: files of other programs, or a LoRA, fill the form; what was done with each setting is listed.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    const MAX_HEADER_BYTES = 100 * 1024 * 1024;
    const ENCODINGS = ['utf-8', 'gb18030', 'shift_jis'];

    function begin() {
        const place = sdtune.byId('sdtune_open');
        if (!place || !sdtune.controls) return setTimeout(begin, 500);
        if (place.firstChild) return;
        const {el, controls} = sdtune;
        const picker = el('input', {type: 'file', multiple: true, hidden: true, id: 'sdtune_open_files'});
        picker.addEventListener('change', () => open([...picker.files]).finally(() => (picker.value = '')));
        place.append(
            controls.action('open_button', t('Open settings'), () => picker.click(), 'sdtune-small'),
            ' ',
            el(
                'span',
                {class: 'sdtune-soft'},
                t('Of sd-scripts, kohya_ss, lora-scripts, OneTrainer and others, or of a LoRA.'),
            ),
            picker,
            controls.note('open_note'),
            el('div', {id: 'sdtune_open_lists'}),
        );
    }

    async function open(files) {
        const {controls, form} = sdtune;
        if (!files.length) return;
        sdtune.byId('sdtune_open_lists').replaceChildren();
        controls.say('open_note', t('reading settings') + ' …');
        try {
            const texts = await Promise.all(files.map(async (file) => ({name: file.name, text: await textOf(file)})));
            const opened = await sdtune.call('import', 'POST', {
                files: texts,
                images: form.value('concept.images') || '',
            });
            form.open(withoutBlanks(opened.config));
            controls.say(
                'open_note',
                t('Settings taken over: {n}; the fields above and below show them.', {n: count(opened)}),
            );
            sdtune.byId('sdtune_open_lists').replaceChildren(...lists(opened));
        } catch (problem) {
            controls.say('open_note', problem.message, true);
        }
    }

    // What a file does not say of the subject stays as a person typed it: the words that the picture is called by.
    function withoutBlanks(config) {
        const [first, ...further] = config.concepts || [{}];
        const {prompt, ...others} = first;
        const word = (config.textual_inversion || {}).token === '';
        if (word) delete config.textual_inversion.token;
        return {...config, concepts: [prompt ? first : others, ...further]};
    }

    const count = (opened) => opened.taken.length + opened.differs.length;

    const lists = (opened) =>
        [
            [t('Missing'), opened.missing],
            [t('Worth knowing'), opened.notes],
            [t('Means something else here'), opened.differs],
            [t('Not supported'), opened.unsupported],
            [t('Taken over'), opened.taken],
        ]
            .filter(([, sentences]) => sentences.length)
            .map(([title, sentences], number) =>
                sdtune.el(
                    'details',
                    {open: number < 2},
                    sdtune.el('summary', {}, `${title} (${sentences.length})`),
                    sdtune.el('ul', {class: 'sdtune-problems'}, ...sentences.map((line) => sdtune.el('li', {}, line))),
                ),
            );

    // A LoRA's metadata, or a text in UTF-8, UTF-16 with a mark, or what Windows of China and Japan writes.
    async function textOf(file) {
        if (file.name.toLowerCase().endsWith('.safetensors')) return metadataOf(file);
        const bytes = new Uint8Array(await file.arrayBuffer());
        if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff))
            return new TextDecoder(bytes[0] === 0xff ? 'utf-16le' : 'utf-16be').decode(bytes);
        for (const encoding of ENCODINGS) {
            try {
                return new TextDecoder(encoding, {fatal: true}).decode(bytes);
            } catch (problem) {
                /* the next one, then */
            }
        }
        return new TextDecoder('latin1').decode(bytes);
    }

    async function metadataOf(file) {
        const start = new DataView(await file.slice(0, 8).arrayBuffer());
        const length = start.byteLength === 8 ? Number(start.getBigUint64(0, true)) : Infinity;
        try {
            if (length > MAX_HEADER_BYTES) throw new Error();
            const header = JSON.parse(await file.slice(8, 8 + length).text());
            return JSON.stringify(header.__metadata__ || {});
        } catch (problem) {
            throw new Error(t('{file} is no safetensors file, or it is damaged.', {file: file.name}));
        }
    }

    document.readyState === 'loading' ? document.addEventListener('DOMContentLoaded', begin) : begin();
})(window.sdtune);
