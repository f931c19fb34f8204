// Presets of one's own: saved from the form, renamed, exported, imported, deleted. They are chosen in the drop-down.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    const presets = (sdtune.presets = {});
    const OPTION = 'li[data-value]';
    const OWN = 'Own: '; // what the server puts in front of their names
    let names = []; // of those that are there
    let saving = ''; // the name that was sent to the server
    let replace = null; // what the button Replace does

    // What gradio has answered to a save before goes with it: one answer at a time.
    function say(text, bad) {
        sdtune.messages.stale(sdtune.byId('sdtune_preset_message'), true);
        sdtune.controls.say('presets_note', text, bad);
        offer(null);
    }

    // Whether a preset that is there is to be replaced is asked once, by a button that does it.
    function offer(act) {
        replace = act;
        sdtune.show('sdtune_preset_replace', act);
    }

    // To many disks they are one.
    const same = (one, other) => one.normalize('NFC').toLowerCase() === other.normalize('NFC').toLowerCase();

    function begin() {
        const place = sdtune.byId('sdtune_presets');
        if (!place || !sdtune.controls) return setTimeout(begin, 500);
        if (place.firstChild) return;
        const {el, controls} = sdtune;
        const name = controls.input(t('name of the preset'), {id: 'sdtune_preset_new', maxlength: 100});
        name.addEventListener('keydown', (event) => event.key === 'Enter' && save());
        name.addEventListener('input', () => replace && say(''));
        const picker = el('input', {type: 'file', accept: '.json', hidden: true, id: 'sdtune_preset_file'});
        picker.addEventListener('change', () => read(picker.files[0]).finally(() => (picker.value = '')));
        place.append(
            el(
                'details',
                {},
                el('summary', {}, t('Own presets')),
                el(
                    'div',
                    {class: 'sdtune-line'},
                    name,
                    controls.action('preset_save', t('Save these settings'), () => save(), 'sdtune-small'),
                    controls.action('preset_import', t('Import'), () => picker.click(), 'sdtune-small'),
                ),
                el('div', {id: 'sdtune_presets_list'}),
            ),
            controls.note('presets_note'),
            controls.action('preset_replace', t('Replace it'), () => replace && replace(), 'sdtune-small'),
            picker,
        );
        offer(null);
        presets.refresh();
        presets.shown();
        const list = sdtune.byId('sdtune_preset');
        new MutationObserver(() => list.querySelectorAll(OPTION).forEach(nameOwn)).observe(list, {
            childList: true,
            subtree: true,
        });
        sdtune.form.press('sdtune_list_presets_button');
    }

    presets.refresh = async function () {
        try {
            const {presets: own} = await sdtune.call('presets');
            names = own.map((preset) => preset.name);
            const list = sdtune.byId('sdtune_presets_list');
            sdtune.keepFocus(list, () => list.replaceChildren(...names.map(row)), list.closest('details').firstChild);
        } catch (problem) {
            say(problem.message, true);
        }
    };

    function row(name) {
        const {el, controls} = sdtune;
        const field = controls.input('', {value: name, 'aria-label': t('Rename'), title: t('Rename')});
        field.addEventListener('change', () =>
            ask(`presets/${encodeURIComponent(name)}/rename`, 'POST', {to: field.value}),
        );
        const small = (label, act) =>
            el('button', {type: 'button', class: 'sdtune-button sdtune-small', onclick: act}, label);
        const remove = (event) =>
            sdtune.sure(event.currentTarget) && ask('presets/' + encodeURIComponent(name), 'DELETE');
        return el(
            'div',
            {class: 'sdtune-line'},
            field,
            small(t('Export'), () => download(name)),
            small(t('Delete'), remove),
        );
    }

    // What the form's fields hold, which only gradio has; `presets.saved` is called by the button's event.
    function save(overwrite) {
        const name = sdtune.byId('sdtune_preset_new').value.trim();
        const there = names.find((known) => same(known, name));
        if (there && overwrite !== true) {
            say(t('There is a preset called {name} already; choose another name, or replace it.', {name: there}), true);
            return offer(() => save(true));
        }
        saving = name;
        const wanted = JSON.stringify({name, overwrite: Boolean(there)});
        sdtune.form.hand('sdtune_preset_name', wanted, 'sdtune_save_preset_button');
    }

    const isSaved = (name) => t('Saved as the preset {name}.', {name});

    presets.saved = function (problem) {
        say(problem ? '' : isSaved(saving));
        const message = sdtune.byId('sdtune_preset_message');
        sdtune.messages.stale(message, !problem);
        sdtune.sayBoxes(message);
        if (!problem) sdtune.byId('sdtune_preset_new').value = '';
        presets.refresh();
    };

    async function ask(path, method, body) {
        try {
            const answer = await sdtune.call(path, method, body);
            say(path === 'presets' ? isSaved(answer.name) : '');
        } catch (problem) {
            say(problem.message, true);
            const isTaken = path === 'presets' && problem.status === 409;
            if (isTaken) offer(() => ask(path, method, {...body, overwrite: true}));
        }
        await presets.refresh();
        sdtune.form.press('sdtune_list_presets_button');
    }

    // A drop-down keeps what it shows in its field, where whoever translates the page does not look; gradio's own value
    // stays as it is.
    presets.shown = () => setTimeout(showTranslated);
    function showTranslated() {
        const field = document.querySelector('#sdtune_preset input');
        if (field && document.activeElement !== field) field.value = words(field.value);
    }
    document.addEventListener('focusout', (event) => event.target.closest('#sdtune_preset') && presets.shown());

    const words = (title) => (title.startsWith(OWN) ? t('Own: {name}', {name: title.slice(OWN.length)}) : t(title));

    // A name is in no table of words, so whoever translates the page leaves the list's line as it is.
    function nameOwn(option) {
        const line = [...option.childNodes].find(({data}) => data && data.trim().startsWith(OWN));
        if (line) line.data = ` ${words(line.data.trim())} `;
    }

    // Chosen once more, a preset fills its fields once more; gradio tells of another choice alone.
    function chosenAgain(option) {
        if (option && option.classList.contains('selected')) sdtune.form.press('sdtune_use_preset_button');
    }
    const inList = (event) => event.target.closest && event.target.closest('#sdtune_preset');
    document.addEventListener('mousedown', (event) => inList(event) && chosenAgain(event.target.closest(OPTION)), true);
    document.addEventListener(
        'keydown',
        (event) =>
            inList(event) && event.key === 'Enter' && chosenAgain(inList(event).querySelector(OPTION + '.active')),
        true,
    );

    async function download(name) {
        try {
            const preset = await sdtune.call('presets/' + encodeURIComponent(name));
            const file = new Blob([JSON.stringify(preset, null, 2) + '\n'], {type: 'application/json'});
            const link = sdtune.el('a', {href: URL.createObjectURL(file), download: `${name}.json`});
            link.click();
            setTimeout(() => URL.revokeObjectURL(link.href), 10000);
        } catch (problem) {
            say(problem.message, true);
        }
    }

    // A preset's file, or a whole CONFIG such as config.json of a run.
    async function read(file) {
        if (!file) return;
        const name = file.name.replace(/\.json$/i, '');
        try {
            const content = JSON.parse(await file.text());
            await ask('presets', 'POST', {
                name: (content && content.title) || (content && content.name) || name,
                settings: (content && content.settings) || content,
            });
        } catch (problem) {
            say(t('{file} is no JSON file.', {file: file.name}), true);
        }
    }

    document.readyState === 'loading' ? document.addEventListener('DOMContentLoaded', begin) : begin();
})(window.sdtune);
