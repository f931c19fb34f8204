// Captions: a page of pictures with their words, a filter, edits of many at once. Nothing is written before Save.
window.sdtune = window.sdtune || {};

(function(sdtune) {
    const captions = sdtune.captions = {};
    const t = (...given) => sdtune.t(...given);
    const at = {id: '', page: 0, view: null, showing: 0};
    let timer = null;

    const shop = () => sdtune.workshop;
    const path = (rest) => 'captions/' + encodeURIComponent(at.id) + (rest ? '/' + rest : '');
    const query = () => shop().value('captions_query');

    captions.frame = function(place) {
        const {el} = sdtune;
        const {labelled, input, select, action, note} = shop();
        const open = el('div', {class: 'sdtune-card'},
            el('div', {class: 'sdtune-line'}, labelled('captions_folder', t('Folder of pictures'), input(t('folder on the machine that trains'))),
                labelled('captions_ending', t('Captions are in'), select([['.txt', '.txt'], ['.caption', '.caption']])),
                action('captions_load', t('Load'), () => load(false), 'sdtune-strong')),
            note('captions_note'), el('div', {class: 'sdtune-buttons', id: 'sdtune_captions_again_line', hidden: true},
                action('captions_again', t('Drop the changes and read the files again'), (event) => sdtune.sure(event.target) && load(true))));
        const desk = el('div', {id: 'sdtune_captions_desk', hidden: true}, gallery(), sidebar());
        place.append(open, desk);
    };

    captions.opened = function() {
        const field = sdtune.byId('sdtune_captions_folder');
        if (!at.id) field.value = sdtune.form.value('concept.images') || field.value;
        const word = sdtune.byId('sdtune_captions_trigger');
        if (!word.value) word.value = sdtune.form.value('textual_inversion.token') || '';
    };

    captions.of = function(folder) {
        shop().set('captions_folder', folder);
        shop().show('captions');
        return load(false);
    };

    // The parts

    function gallery() {
        const {el} = sdtune;
        const {input, action, note} = shop();
        const search = input(t('cat and not dog, or: missing'), {id: 'sdtune_captions_query', 'aria-label': t('Filter'), onchange: () => turn(0)});
        const pager = el('div', {class: 'sdtune-buttons sdtune-pager'}, action('captions_back', '‹', () => turn(at.page - 1)),
            el('span', {class: 'sdtune-soft', id: 'sdtune_captions_page'}), action('captions_next', '›', () => turn(at.page + 1)));
        pager.firstChild.setAttribute('aria-label', t('Previous page'));
        pager.lastChild.setAttribute('aria-label', t('Next page'));
        return el('div', {class: 'sdtune-main'}, el('div', {class: 'sdtune-line'}, search, action('captions_missing', t('Without caption'), () => filter('missing')),
            action('captions_all', t('Show all'), () => filter(''))), note('captions_filter_note'),
        el('div', {class: 'sdtune-head'}, el('span', {class: 'sdtune-soft', id: 'sdtune_captions_found'}), pager), el('div', {id: 'sdtune_captions_pictures'}));
    }

    function sidebar() {
        const {el} = sdtune;
        const wide = window.innerWidth > 900;
        const group = (title, open, ...inside) => el('details', {class: 'sdtune-card', open: open && wide}, el('summary', {}, el('h4', {}, title)), ...inside);
        const {action, note, bar} = shop();
        return el('aside', {}, el('div', {class: 'sdtune-card', id: 'sdtune_captions_saving'}, el('span', {id: 'sdtune_captions_changed'}),
            el('div', {class: 'sdtune-buttons'}, action('captions_save', t('Save captions'), save, 'sdtune-strong'), action('captions_undo', t('Undo'), () => change('undo'))), bar('captions_save_bar'), note('captions_saved')),
        group(t('Change many at once'), true, ...editing()), group(t('Trigger word'), false, ...pruning()),
        group(t('Tags'), true, el('p', {class: 'sdtune-soft', id: 'sdtune_captions_kinds'}), el('div', {class: 'sdtune-cloud', id: 'sdtune_captions_cloud'})),
        group(t('Automatic captions'), false, ...describing()),
        group(t('As the trainer reads them'), false, el('p', {class: 'sdtune-soft'}, t('Five captions with the shuffling and dropout set on the Train page.')),
            el('div', {class: 'sdtune-buttons'}, action('captions_finals_show', t('Show five'), finals)), note('captions_finals_note'), el('div', {id: 'sdtune_captions_finals', class: 'sdtune-changes'})));
    }

    function editing() {
        const {el} = sdtune;
        const {labelled, select, input, action, note} = shop();
        const kinds = select([['add', t('Add at the end')], ['front', t('Move or add to the front')], ['remove', t('Remove')], ['replace', t('Replace a tag')],
            ['regex', t('Replace by regular expression')], ['sort', t('Sort tags by alphabet')], ['dedupe', t('Remove repeated tags')]]);
        kinds.addEventListener('change', wanted);
        const parts = [labelled('captions_do', t('What to do'), kinds), labelled('captions_words', t('Tags'), input(t('red hat, snow'))),
            labelled('captions_new', t('New tags'), input('')),
            el('div', {class: 'sdtune-buttons'}, action('captions_preview', t('Preview'), preview), action('captions_apply', t('Apply'), apply, 'sdtune-strong')),
            note('captions_edit_note'), el('div', {id: 'sdtune_captions_changes', class: 'sdtune-changes'})];
        setTimeout(wanted);
        return parts;
    }

    function wanted() {
        const kind = shop().value('captions_do');
        sdtune.show(sdtune.byId('sdtune_captions_words').parentElement, !['sort', 'dedupe'].includes(kind));
        sdtune.show(sdtune.byId('sdtune_captions_new').parentElement, ['replace', 'regex'].includes(kind));
        sdtune.text(sdtune.byId('sdtune_captions_words').parentElement.firstChild, kind === 'regex' ? t('Expression') : t('Tags'));
    }

    function pruning() {
        const {el} = sdtune;
        const {labelled, input, action, note} = shop();
        return [labelled('captions_trigger', t('The word that stands for your subject'), input(t('ron'))), action('captions_common', t('Find tags that all have'), common),
            el('p', {class: 'sdtune-soft', id: 'sdtune_captions_why'}), el('div', {class: 'sdtune-cloud', id: 'sdtune_captions_often'}),
            el('div', {class: 'sdtune-buttons'}, action('captions_prune_preview', t('Preview'), () => prune(true)),
                action('captions_prune', t('Put it in front, prune the ticked'), () => prune(false), 'sdtune-strong')),
            note('captions_prune_note'), el('div', {id: 'sdtune_captions_pruned', class: 'sdtune-changes'})];
    }

    function describing() {
        const {el} = sdtune;
        const {labelled, select, field, action, note, bar, facts} = shop();
        const known = select(facts.captioners.map((one) => [one.name, t(one.label)]));
        const options = facts.captioners.map((one) => el('div', {class: 'sdtune-fields', 'data-captioner': one.name}, ...one.fields.map((each) => field(one.name + '_', each))));
        const seen = () => options.forEach((one) => sdtune.show(one, one.dataset.captioner === known.value));
        known.addEventListener('change', seen);
        const parts = [labelled('captions_captioner', t('Written by'), known), labelled('captions_existing', t('Captions that are there'),
            select([['keep', t('stay as they are')], ['append', t('get the new words at the end')], ['prepend', t('get the new words in front')], ['replace', t('are replaced')]])),
        ...options, el('div', {class: 'sdtune-buttons'}, action('captions_describe', t('Write captions'), describe, 'sdtune-strong'), action('captions_stop', t('Stop'), () => ask('stop').then(() => follow(300)))),
        bar('captions_bar'), note('captions_work')];
        seen();
        return parts;
    }

    // Asking

    // One after the other: what is typed last is on its way before Save is.
    let line = Promise.resolve();
    const ask = (...given) => line = line.then(() => asked(...given));

    async function asked(verb, body, note) {
        try {
            return await sdtune.call(path(verb), 'POST', body || {});
        } catch (problem) {
            shop().say(note || 'captions_saved', problem.message, true);
            return null;
        }
    }

    async function load(again) {
        shop().say('captions_note', t('Loading …'));
        try {
            const found = await sdtune.call('captions', 'POST', {images: shop().value('captions_folder'), extension: shop().value('captions_ending'), again});
            at.id = found.id;
            at.page = 0;
            sdtune.byId('sdtune_captions_pictures').replaceChildren();
            for (const id of ['changes', 'pruned', 'finals', 'often']) sdtune.byId('sdtune_captions_' + id).replaceChildren();
            shop().say('captions_note', found.kept ? t('Your unsaved changes in this folder are still here.') : found.problems.slice(0, 3).join(' '));
            sdtune.show('sdtune_captions_again_line', found.kept);
            shop().say('captions_saved', '');
            await refresh();
        } catch (problem) {
            shop().say('captions_note', problem.message, true);
        }
    }

    async function refresh() {
        try {
            paint(await sdtune.call(path() + '?query=' + encodeURIComponent(query()) + '&page=' + at.page));
            shop().say('captions_filter_note', '');
        } catch (problem) {
            shop().say('captions_filter_note', problem.message, true);
        }
    }

    function turn(page) {
        at.page = Math.max(0, page);
        return refresh();
    }

    function filter(text) {
        sdtune.byId('sdtune_captions_query').value = text;
        return turn(0);
    }

    async function change(verb, body, note) {
        shop().say('captions_saved', '');
        const done = await ask(verb, body, note);
        if (done) await refresh();
        return done;
    }

    const wish = () => ({do: shop().value('captions_do'), words: shop().value('captions_words'), new: shop().value('captions_new'), query: query()});

    async function preview() {
        const found = await ask('preview', wish(), 'captions_edit_note');
        if (found) tell('captions_edit_note', 'captions_changes', found, t('Captions that would change: {n}', {n: found.count}));
    }

    async function apply() {
        const done = await change('edit', wish(), 'captions_edit_note');
        if (done) tell('captions_edit_note', 'captions_changes', done, t('Captions changed: {n}; not saved yet.', {n: done.count}));
    }

    function tell(note, list, found, text) {
        shop().say(note, found.count ? text : t('No caption would change.'));
        sdtune.byId('sdtune_' + list).replaceChildren(...(found.examples || []).map(changed));
    }

    function changed(one) {
        const {el} = sdtune;
        return el('p', {}, el('b', {}, one.name), el('del', {}, one.before || t('(empty)')), el('ins', {}, one.after || t('(empty)')));
    }

    async function common() {
        const found = await ask('common', {trigger: shop().value('captions_trigger')}, 'captions_prune_note');
        if (!found) return;
        const {el} = sdtune;
        shop().say('captions_prune_note', '');
        sdtune.text('sdtune_captions_why', found.tags.length ? t(found.why) : t('No tag stands in nearly every caption.'));
        sdtune.byId('sdtune_captions_often').replaceChildren(...found.tags.map((tag) => el('label', {class: 'sdtune-tag-chip'}, el('input', {type: 'checkbox', value: tag}), tag)));
    }

    async function prune(look) {
        const ticked = [...document.querySelectorAll('#sdtune_captions_often input:checked')].map((one) => one.value).join(', ');
        const found = await ask('prune', {trigger: shop().value('captions_trigger'), tags: ticked, only_preview: look}, 'captions_prune_note');
        if (!found) return;
        tell('captions_prune_note', 'captions_pruned', look ? found : {count: found.count},
            look ? t('Captions that would change: {n}', {n: found.count}) : t('Captions changed: {n}; not saved yet.', {n: found.count}));
        if (!look) refresh();
    }

    async function save() {
        const begun = await ask('save');
        if (!begun) return;
        at.saving = true;
        follow(200);
    }

    async function describe() {
        const name = shop().value('captions_captioner');
        const entry = shop().facts.captioners.find((one) => one.name === name);
        const begun = await ask('describe', {captioner: name, options: shop().typed(name + '_', entry.fields), existing: shop().value('captions_existing'), query: query()}, 'captions_work');
        if (begun) follow(300);
    }

    async function finals() {
        const {value} = sdtune.form;
        const settings = {shuffle_caption: Boolean(value('dataset.shuffle_caption'))};
        for (const name of ['keep_tokens', 'caption_dropout_rate', 'caption_tag_dropout_rate']) settings[name] = Number(value('dataset.' + name)) || 0;
        const found = await ask('finals', {dataset: settings, prompt: value('concept.prompt') || '', word: value('textual_inversion.token') || value('name') || '',
            seed: Math.max(0, Number(value('train.seed')) || 0), showing: at.showing++}, 'captions_finals_note');
        if (!found) return;
        const {el} = sdtune;
        shop().say('captions_finals_note', '');
        sdtune.text('sdtune_captions_finals_show', t('Show the next time they are seen'));
        sdtune.byId('sdtune_captions_finals').replaceChildren(...found.map((one) => el('p', {}, el('b', {}, one.name,
            one.tokens !== null && el('span', {class: one.tokens > 75 ? 'sdtune-many' : 'sdtune-soft'}, ' ' + t('{n} tokens', {n: one.tokens}))), one.caption || t('(empty)'))));
    }

    // While captions are written by a program

    function follow(wait) {
        clearTimeout(timer);
        timer = setTimeout(async() => {
            const found = await sdtune.call(path('work')).catch(() => null);
            if (found && shop().busy(found.work)) working(found.work);
            else refresh();
        }, wait);
    }

    function working(work) {
        const on = shop().busy(work);
        const describing = work && work.what === 'describe' ? work : null;
        const ends = {done: t('Done; look at them, then save.'), stopped: t('Stopped; what was written stays, not saved yet.')};
        shop().say('captions_work', shop().progress('captions_bar', describing) || (describing ? ends[work.state] || work.message : ''), describing && work.state === 'failed');
        sdtune.show('sdtune_captions_stop', on && describing);
        sdtune.show('sdtune_captions_describe', !on);
        saving(work && work.what === 'save' ? work : null, on);
        if (on) follow(1000);
    }

    function saving(work, on) {
        const progress = shop().progress('captions_save_bar', work);
        if (on && work) return shop().say('captions_saved', progress);
        if (!work || !at.saving) return;
        at.saving = false;
        for (const id of ['edit', 'prune']) shop().say(`captions_${id}_note`, ''); // they said "not saved yet"
        const problems = work.problems || [];
        const told = work.state === 'done' ? t('Captions saved: {n}; the old ones are beside them as .bak.', {n: work.written}) : work.message;
        shop().say('captions_saved', [told, ...problems].join(' '), problems.length || work.state === 'failed');
    }

    // Drawing

    function paint(view) {
        Object.assign(at, {view, page: view.page});
        sdtune.show('sdtune_captions_desk', true);
        sdtune.text('sdtune_captions_found', view.found === view.total ? t('Pictures: {n}, without caption: {m}', {n: view.total, m: view.missing})
            : t('{n} of {total} pictures; changes concern only these', {n: view.found, total: view.total}));
        sdtune.text('sdtune_captions_page', t('page {n} of {m}', {n: view.page + 1, m: view.pages}));
        sdtune.show(sdtune.byId('sdtune_captions_page').parentElement, view.pages > 1);
        sdtune.byId('sdtune_captions_back').disabled = view.page === 0;
        sdtune.byId('sdtune_captions_next').disabled = view.page + 1 >= view.pages;
        sdtune.text('sdtune_captions_changed', view.changed ? t('Changed captions, not saved: {n}', {n: view.changed}) : t('Everything is saved'));
        sdtune.byId('sdtune_captions_save').disabled = !view.changed;
        sdtune.byId('sdtune_captions_undo').disabled = !view.undo;
        sdtune.text('sdtune_captions_kinds', t('Different tags: {n}. A click shows the pictures that have one.', {n: view.kinds}));
        pictures(view.rows);
        cloud(view.tags);
        working(view.work);
    }

    // Cards stay while their picture is shown, so that typing is never interrupted.
    function pictures(rows) {
        const place = sdtune.byId('sdtune_captions_pictures');
        const there = new Map([...place.children].map((card) => [card.dataset.index, card]));
        const cards = rows.map((row) => there.get(String(row.index)) || card(row));
        if (cards.length !== place.children.length || cards.some((one, number) => one !== place.children[number])) place.replaceChildren(...cards);
        rows.forEach((row, number) => {
            const words = cards[number].querySelector('textarea');
            if (document.activeElement !== words || words.value === words.dataset.shown) words.value = row.caption;
            words.dataset.shown = row.caption;
            cards[number].classList.toggle('sdtune-changed', row.changed);
        });
    }

    function card(row) {
        const {el} = sdtune;
        const address = sdtune.url(path('pictures/' + row.index)) + '?key=' + encodeURIComponent(sdtune.byId('sdtune_panel').dataset.key || '');
        const words = el('textarea', {rows: 3, 'aria-label': t('Caption of {name}', {name: row.name}), placeholder: t('no caption'),
            oninput: () => { sdtune.byId('sdtune_captions_save').disabled = false; }, onchange: () => change('write', {name: row.name, caption: words.value})});
        return el('figure', {class: 'sdtune-worded', 'data-index': row.index}, el('img', {src: address, alt: row.name, loading: 'lazy'}),
            el('figcaption', {title: row.name}, row.name), words);
    }

    // A tag as the filter reads it: its own "and", "or" and "not" are words.
    const term = (tag) => tag.replace(/\s+(and|or)(?=\s)\s/gi, '*$1*').replace(/^not /i, '*$&');

    function cloud(tags) {
        const {el} = sdtune;
        const most = tags.length ? tags[0][1] : 1;
        sdtune.byId('sdtune_captions_cloud').replaceChildren(...tags.map(([tag, count]) => el('button', {type: 'button', class: 'sdtune-tag-chip',
            style: `--share: ${count / most}`, onclick: () => filter(term(tag))}, tag, el('span', {}, String(count)))));
    }
})(window.sdtune);
