// The page LoRA tools: another rank, several into one or into a checkpoint, out of two checkpoints.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    const LISTED = {lora: ['resize_file'], checkpoints: ['merge_checkpoint', 'extract_tuned', 'extract_original']};
    let facts = {};
    let timer = null;

    const controls = () => sdtune.controls;
    const id = (name) => 'lora_tool_' + name;
    const say = (text, bad, asked) => controls().say(id('note'), text, bad, asked);

    function frame(root) {
        const {el} = sdtune;
        facts = JSON.parse(root.dataset.facts);
        const titles = {
            resize: [t('Resize'), t('Gives a LoRA another rank: a smaller file, or one without what is noise.')],
            merge: [t('Merge'), t('Makes one LoRA of several, or puts them into a checkpoint.')],
            extract: [t('Extract'), t('Makes a LoRA of what a checkpoint has learned since the one it comes from.')],
        };
        const choice = (tool) =>
            el(
                'button',
                {type: 'button', class: 'sdtune-button', 'data-tool': tool, onclick: () => show(tool)},
                titles[tool][0],
            );
        root.append(
            el('div', {class: 'sdtune-buttons sdtune-halves'}, ...Object.keys(facts).map(choice)),
            ...Object.entries(facts).map(([tool, fields]) => card(tool, fields, ...titles[tool])),
            el('datalist', {id: 'sdtune_names_lora'}),
            el('datalist', {id: 'sdtune_names_checkpoints'}),
            controls().bar(id('bar')),
            controls().note(id('note')),
            controls().action(id('stop'), t('Stop'), stop, 'sdtune-small'),
        );
        for (const [kind, names] of Object.entries(LISTED)) {
            for (const name of names) sdtune.byId('sdtune_' + id(name)).setAttribute('list', 'sdtune_names_' + kind);
        }
        const lines = sdtune.byId('sdtune_' + id('merge_files'));
        lines.placeholder = 'ron:0.8\nlamp';
        const field = lines.parentElement;
        const place = el('div', {class: 'sdtune-wide'});
        field.replaceWith(place);
        place.append(field, adding(lines));
        show(controls().stored().lora_tool || 'resize');
    }

    function card(tool, fields, title, about) {
        const {el} = sdtune;
        return el(
            'div',
            {class: 'sdtune-card', id: 'sdtune_' + id('card_' + tool), hidden: true},
            el('p', {class: 'sdtune-soft'}, about),
            el('div', {class: 'sdtune-fields'}, ...fields.map((field) => controls().field(id(tool + '_'), field))),
            el(
                'div',
                {class: 'sdtune-buttons'},
                controls().action(id('start_' + tool), title, () => start(tool), 'sdtune-strong'),
            ),
        );
    }

    // A list below a field of names, one a line: what is chosen becomes its last line.
    function adding(lines) {
        const choices = controls().select([]);
        choices.id = 'sdtune_' + id('merge_add');
        choices.setAttribute('aria-label', t('Add a LoRA'));
        choices.addEventListener('change', () => {
            lines.value = [lines.value.trim(), choices.value].filter(Boolean).join('\n');
            choices.value = '';
            for (const kind of ['input', 'change']) lines.dispatchEvent(new Event(kind, {bubbles: true}));
        });
        return choices;
    }

    function show(tool) {
        controls().store('lora_tool', tool);
        for (const name of Object.keys(facts)) sdtune.show('sdtune_' + id('card_' + name), name === tool);
        for (const button of document.querySelectorAll('#sdtune_lora_tools [data-tool]')) {
            button.setAttribute('aria-pressed', button.dataset.tool === tool);
        }
        if (sdtune.byId('sdtune_' + id('bar')).hidden) say('');
    }

    async function start(tool) {
        say('');
        try {
            await sdtune.call('lora-tools', 'POST', {tool, ...controls().values(id(tool + '_'), facts[tool])});
            refresh();
        } catch (problem) {
            say(problem.message, true);
        }
    }

    const stop = () =>
        sdtune
            .call('lora-tools/stop', 'POST')
            .then(refresh)
            .catch(() => {});

    async function refresh() {
        clearTimeout(timer);
        const asked = performance.now();
        const status = await sdtune.call('lora-tools').catch(() => null);
        if (!status || !sdtune.byId('sdtune_' + id('bar'))) return;
        const {work, made} = status;
        const on = controls().busy(work);
        const line = controls().progress(id('bar'), work);
        sdtune.show('sdtune_' + id('stop'), on);
        if (work) say(line || ended(work, made), work.state === 'failed', asked);
        if (on) timer = setTimeout(refresh, 700);
        else list();
    }

    function ended(work, made) {
        if (work.state === 'stopped') return t('Stopped; nothing was written.');
        if (work.state === 'failed') return work.message;
        return t('Finished: {file}. {sentence}', {file: made.tag || made.name, sentence: made.sentence});
    }

    // Names to choose from, as the fields are typed in.
    async function list() {
        const listing = await sdtune.call('choices').catch(() => null);
        for (const kind of listing ? Object.keys(LISTED) : []) {
            const options = (listing.kinds[kind] || []).map((name) => sdtune.el('option', {value: name}));
            sdtune.byId('sdtune_names_' + kind).replaceChildren(...options);
        }
        if (!listing) return;
        const loras = (listing.kinds.lora || []).map((name) => sdtune.el('option', {value: name}, name));
        const first = sdtune.el('option', {value: ''}, t('Add a LoRA') + ' …');
        sdtune.byId('sdtune_' + id('merge_add')).replaceChildren(first, ...loras);
    }

    const begin = () => sdtune.whenSeen('sdtune_lora_tools', frame, refresh);
    document.readyState === 'loading' ? document.addEventListener('DOMContentLoaded', begin) : begin();
})(window.sdtune);
