// Captions: a page of pictures with their words, a filter. Nothing is written before Save.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const captions = (sdtune.captions = sdtune.captions || {});
    const t = (...args) => sdtune.t(...args);
    const at = {id: '', page: 0, folder: null}; // folder: what the server was asked to open
    const controls = () => sdtune.controls;
    captions.path = (verb) => 'captions/' + encodeURIComponent(at.id) + (verb ? '/' + verb : '');
    captions.query = () => controls().value('captions_query');

    captions.opened = function () {
        const field = sdtune.byId('sdtune_captions_folder');
        if (!at.id) field.value = sdtune.form.value('concept.images') || field.value;
        const word = sdtune.byId('sdtune_captions_trigger');
        if (!word.value) word.value = sdtune.form.word();
    };

    captions.of = function (folder) {
        controls().set('captions_folder', folder);
        sdtune.picturesPage.show('captions');
        return captions.load(false);
    };

    // Asking

    // One after the other: what is typed last is on its way before Save is.
    let line = Promise.resolve();
    let waiting = 0; // requests that have not been answered
    captions.ask = function (...args) {
        waiting += 1;
        return (line = line.then(() => post(...args)).finally(() => (waiting -= 1)));
    };

    async function post(verb, body, note) {
        try {
            return await reopening(() => sdtune.call(captions.path(verb), 'POST', body || {}));
        } catch (problem) {
            controls().say(note || 'captions_saved', problem.message, true);
            return null;
        }
    }

    // A server that was started again has forgotten the folder, but what is typed here is still here.
    async function reopening(call) {
        try {
            return await call();
        } catch (problem) {
            if (problem.status !== 404 || !at.folder) throw problem;
            at.id = (await sdtune.call('captions', 'POST', {...at.folder, again: false})).id;
            return call();
        }
    }

    // What was typed and is not on the server: it would be lost with the page.
    const typed = (area) => area.value !== area.dataset.shown;
    const areas = () => [...document.querySelectorAll('#sdtune_captions_pictures textarea')];
    window.addEventListener('beforeunload', (event) => {
        if (!waiting && !areas().some(typed)) return;
        event.preventDefault();
        event.returnValue = ''; // Chromium asks only then
    });

    captions.load = async function (again) {
        await line; // what was typed last belongs to the folder that is shown
        if (!again && areas().some(typed) && !window.confirm(t('What was typed last could not be kept. Drop it?')))
            return;
        controls().say('captions_note', t('Loading …'));
        try {
            const asked = {images: controls().value('captions_folder'), extension: controls().value('captions_ending')};
            const folder = await sdtune.call('captions', 'POST', {...asked, again});
            at.id = folder.id;
            at.folder = asked;
            at.page = 0;
            sdtune.byId('sdtune_captions_pictures').replaceChildren();
            for (const id of ['changes', 'pruned', 'finals', 'often'])
                sdtune.byId('sdtune_captions_' + id).replaceChildren();
            controls().say(
                'captions_note',
                folder.kept
                    ? t('Your unsaved changes in this folder are still here.')
                    : folder.problems.slice(0, 3).join(' '),
            );
            sdtune.show('sdtune_captions_again_line', folder.kept);
            controls().say('captions_saved', '');
            await captions.refresh();
        } catch (problem) {
            controls().say('captions_note', problem.message, true);
        }
    };

    captions.refresh = async function () {
        try {
            const query = () => '?query=' + encodeURIComponent(captions.query()) + '&page=' + at.page;
            const asked = performance.now();
            const view = await reopening(() => sdtune.call(captions.path() + query()));
            paint(view, asked);
            controls().say('captions_filter_note', '');
        } catch (problem) {
            controls().say('captions_filter_note', problem.message, true);
        }
    };

    captions.turnTo = function (page) {
        at.page = Math.max(0, page);
        return captions.refresh();
    };
    captions.turnBy = (pages) => captions.turnTo(at.page + pages);

    captions.filter = function (text) {
        sdtune.byId('sdtune_captions_query').value = text;
        return captions.turnTo(0);
    };

    captions.change = async function (verb, body, note) {
        controls().say('captions_saved', '');
        const done = await captions.ask(verb, body, note);
        if (done) await captions.refresh();
        return done;
    };

    captions.save = async function () {
        const button = sdtune.byId('sdtune_captions_save');
        if (button.disabled) return;
        button.disabled = true; // up to the next painting: a second click would find nothing to save, and say so
        if (await captions.ask('save', {confirmed: confirmed()})) captions.follow(200, true);
        else button.disabled = false;
    };

    // Words that were read in a guessed encoding are the user's to judge: saved wrong, they would look like good UTF-8.
    function confirmed() {
        const count = Math.max(at.guessed, areas().filter((area) => typed(area) && area.dataset.guess).length);
        const question = () =>
            t('Changed captions whose encoding is a guess: {n}. Are their words right? If not, they stay unsaved.', {
                n: count,
            });
        return count > 0 && window.confirm(question());
    }

    // Drawing

    function paint(view, asked) {
        at.page = view.page;
        sdtune.show('sdtune_captions_desk', true);
        sdtune.text(
            'sdtune_captions_found',
            view.found === view.total
                ? t('Pictures: {n}, without caption: {m}', {n: view.total, m: view.missing})
                : t('Pictures shown: {n} of {total}; changes concern only these', {n: view.found, total: view.total}),
        );
        sdtune.text('sdtune_captions_page', t('page {n} of {m}', {n: view.page + 1, m: view.pages}));
        sdtune.show(sdtune.byId('sdtune_captions_page').parentElement, view.pages > 1);
        sdtune.byId('sdtune_captions_back').disabled = view.page === 0;
        sdtune.byId('sdtune_captions_next').disabled = view.page + 1 >= view.pages;
        at.changed = view.changed;
        at.guessed = view.guessed;
        elsewhere(view.unsaved_elsewhere);
        sdtune.byId('sdtune_captions_undo').disabled = !view.undo;
        sdtune.text(
            'sdtune_captions_kinds',
            t('Different tags: {n}. A click shows the pictures that have one.', {n: view.kinds}),
        );
        pictures(view.rows);
        tellUnsaved();
        cloud(view.tags);
        captions.working(view.work, asked);
    }

    // Also while a caption is being typed, which the server hears of when it is done.
    function tellUnsaved() {
        const count = Math.max(at.changed || 0, areas().some(typed) ? 1 : 0);
        sdtune.text(
            'sdtune_captions_changed',
            count ? t('Changed captions, not saved: {n}', {n: count}) : t('Everything is saved'),
        );
        sdtune.byId('sdtune_captions_save').disabled = !count;
    }

    // "Everything is saved" is said of one folder; others may have changes too.
    function elsewhere(folders) {
        const {el} = sdtune;
        const button = (entry) =>
            el(
                'button',
                {type: 'button', class: 'sdtune-button sdtune-small', onclick: () => goTo(entry)},
                el('span', {class: 'notranslate'}, `${entry.folder} (${entry.changed})`),
            );
        const place = sdtune.byId('sdtune_captions_elsewhere');
        sdtune.show(place, folders.length > 0);
        place.replaceChildren(
            el('span', {class: 'sdtune-soft'}, t('Not saved in other folders:')),
            ...folders.map(button),
        );
    }

    // From Check: the folder's captions without prompt syntax, to be looked at and saved.
    captions.takeOutPromptSyntax = async function (folder, extension) {
        sdtune.picturesPage.goto('pictures');
        // the page is made when it is first seen
        while (!sdtune.byId('sdtune_captions_folder')) await new Promise((resolve) => setTimeout(resolve, 100));
        sdtune.picturesPage.show('captions');
        sdtune.byId('sdtune_workshop').scrollIntoView();
        await goTo({folder, extension});
        if (!at.folder || at.folder.images !== folder) return; // it could not be opened, which is said there
        const done = await captions.change('edit', {do: 'plain'}, 'captions_edit_note');
        if (done) controls().say('captions_note', t('Captions changed: {n}; not saved yet.', {n: done.count}));
    };

    document.addEventListener('click', (event) => {
        const button = event.target.closest && event.target.closest('.sdtune-plain-captions');
        if (button) captions.takeOutPromptSyntax(button.dataset.folder, button.dataset.extension);
    });

    function goTo(entry) {
        controls().set('captions_folder', entry.folder);
        controls().set('captions_ending', entry.extension);
        return captions.load(false);
    }

    // Cards stay while their picture is shown, so that typing is never interrupted.
    function pictures(rows) {
        const place = sdtune.byId('sdtune_captions_pictures');
        const present = new Map([...place.children].map((child) => [child.dataset.index, child]));
        const cards = rows.map((row) => present.get(String(row.index)) || card(row));
        if (cards.length !== place.children.length || cards.some((child, number) => child !== place.children[number]))
            place.replaceChildren(...cards);
        rows.forEach((row, number) => {
            const area = cards[number].querySelector('textarea');
            if (document.activeElement !== area || !typed(area)) area.value = row.caption;
            area.dataset.shown = row.caption;
            area.dataset.guess = row.guess;
            area.readOnly = row.cut;
            sdtune.text(cards[number].lastChild, doubt(row));
            cards[number].classList.toggle('sdtune-changed', row.changed);
        });
    }

    const doubt = (row) =>
        row.cut
            ? t('Larger than 64 KiB: not edited here.')
            : row.guess && t('Not UTF-8: read as {encoding}.', {encoding: row.guess});

    function card(row) {
        const {el} = sdtune;
        const address = sdtune.url(captions.path('pictures/' + row.index));
        const area = el('textarea', {
            rows: 3,
            'aria-label': t('Caption of {name}', {name: row.name}),
            placeholder: t('no caption'),
            oninput: tellUnsaved,
            onchange: () => captions.change('write', {name: row.name, caption: area.value}),
        });
        return el(
            'figure',
            {class: 'sdtune-worded', 'data-index': row.index},
            el('img', {
                src: address,
                alt: row.name,
                loading: 'lazy',
                onerror: (event) =>
                    event.target.replaceWith(
                        el('div', {class: 'sdtune-unreadable'}, t('This picture cannot be read.')),
                    ),
            }),
            el('figcaption', {title: row.name}, row.name),
            area,
            el('span', {class: 'sdtune-soft'}),
        );
    }

    // A whole tag, as the filter reads it.
    const quoted = (tag) => '"' + tag.replace(/"/g, '""') + '"';

    function cloud(tags) {
        const {el} = sdtune;
        const most = tags.length ? tags[0][1] : 1;
        sdtune
            .byId('sdtune_captions_cloud')
            .replaceChildren(
                ...tags.map(([tag, count]) =>
                    el(
                        'button',
                        {
                            type: 'button',
                            class: 'sdtune-tag-chip',
                            style: `--share: ${count / most}`,
                            onclick: () => captions.filter(quoted(tag)),
                        },
                        tag,
                        el('span', {}, String(count)),
                    ),
                ),
            );
    }
})(window.sdtune);
