// Pictures or a folder dropped onto the form: each time a set of its own, uploaded as by the button Upload; and the
// list of the sets that are there.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const sets = (sdtune.pictureSets = {});
    const t = (...args) => sdtune.t(...args);
    const PATIENCE = 10; // looks after an upload until the new set is listed
    let drawn = '';

    function begin() {
        const place = sdtune.byId('sdtune_picture_sets');
        const target = sdtune.byId('sdtune_form');
        if (!place || !target || !sdtune.controls) return setTimeout(begin, 500);
        if (place.firstChild) return;
        const select = sdtune.el('select', {id: 'sdtune_picture_set', 'aria-label': t('Uploaded pictures')});
        select.addEventListener('change', () => {
            if (select.value) sdtune.form.fill({'concept.images': select.value});
            select.value = '';
        });
        place.append(
            select,
            sdtune.el('span', {class: 'sdtune-soft'}, t('Or drop pictures, or a folder, here.')),
            sdtune.el('p', {id: 'sdtune_picture_sets_note', class: 'sdtune-note', role: 'status', hidden: true}),
            sdtune.pictureSetsFrame(),
        );
        listen(sdtune.byId('sdtune_page_train') || target, target);
        sets.refresh();
    }

    sets.refresh = async function (looks) {
        const answer = await sdtune.call('picture-sets').catch(() => null);
        const select = sdtune.byId('sdtune_picture_set');
        if (!answer || !select) return;
        const mark = JSON.stringify(answer.sets);
        if (mark === drawn && looks > 1) return setTimeout(() => sets.refresh(looks - 1), 1000);
        drawn = mark;
        sdtune.show(select, answer.sets.length);
        select.replaceChildren(
            sdtune.el('option', {value: ''}, t('Uploaded pictures')),
            ...answer.sets.map((set) => sdtune.el('option', {value: set.folder}, `${set.name} (${set.pictures})`)),
        );
        sdtune.drawPictureSets(answer.sets);
    };

    // Dropping

    // The whole page takes them, for beside the form the browser would open them; the form shows where they go.
    function listen(target, form) {
        let depth = 0;
        const marked = (on) => form.classList.toggle('sdtune-dropping', on);
        const files = (event) => [...((event.dataTransfer || {}).types || [])].includes('Files');
        target.addEventListener('dragenter', (event) => files(event) && ((depth += 1), marked(true)));
        target.addEventListener('dragleave', (event) => files(event) && ((depth -= 1), marked(depth > 0)));
        target.addEventListener('dragover', (event) => files(event) && event.preventDefault());
        target.addEventListener('drop', async (event) => {
            if (!files(event)) return;
            event.preventDefault();
            event.stopPropagation();
            depth = 0;
            marked(false);
            const {name, paths, dropped, numbered} = await contents(event.dataTransfer);
            if (dropped.length) upload(name, paths, dropped);
            warn(numbered);
        });
    }

    // {name of the folder, or '', paths, files, the names of folders inside whose numbers say repeats}: everything that
    // was dropped, with what is in folders. A path begins below the dropped folder, or with it where there are several.
    async function contents(transfer) {
        const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
        const folders = entries.filter((entry) => entry && entry.isDirectory);
        if (!folders.length) {
            const dropped = [...transfer.files];
            return {name: '', paths: dropped.map((file) => file.name), dropped, numbered: []};
        }
        const places = entries.filter(Boolean);
        const files = (await Promise.all(places.map((entry) => walk(entry)))).flat();
        const parts = files.map(({path}) => path.split('/').slice(1));
        const inside = parts.flatMap((part) => part.slice(1, -1)).concat(folders.slice(1).map(({name}) => name));
        return {
            name: folders[0].name,
            paths: parts.map((part) => part.slice(places.length > 1 ? 0 : 1).join('/')),
            dropped: files.map(({file}) => file),
            numbered: [...new Set(inside.filter((name) => /^\d+_/.test(name)))],
        };
    }

    // All becomes one set, in which the repeats of folders inside it are lost.
    function warn(numbered) {
        sdtune.show('sdtune_picture_sets_note', numbered.length);
        sdtune.text(
            'sdtune_picture_sets_note',
            numbered.length
                ? t('Repeats of {folders} are lost: all became one set. Drop each by itself to keep them.', {
                      folders: numbered.join(', '),
                  })
                : '',
        );
    }

    // Each file with the path that it was dropped with, "/folder/a.png".
    async function walk(entry) {
        if (entry.isFile) {
            const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
            return [{file, path: entry.fullPath}];
        }
        const reader = entry.createReader();
        const entries = [];
        for (;;) {
            const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
            if (!some.length) break;
            entries.push(...some);
        }
        return (await Promise.all(entries.map(walk))).flat();
    }

    // By the button's own input, so that a dropped file goes the way of a chosen one. It sends their names alone; the
    // server names them by their paths, so that a caption or a mask is not taken for another picture's.
    function upload(name, paths, files) {
        const button = sdtune.byId('sdtune_upload');
        const input = button && button.parentElement.querySelector('input[type="file"]');
        if (!input) return;
        sdtune.form.write('sdtune_set_name', JSON.stringify({name, paths}));
        const transfer = new DataTransfer();
        for (const file of files) transfer.items.add(file);
        setTimeout(() => {
            input.files = transfer.files;
            input.dispatchEvent(new Event('change', {bubbles: true}));
            sets.refresh(PATIENCE);
        }, 50);
    }

    document.addEventListener(
        'change',
        (event) =>
            event.target.type === 'file' &&
            event.target.parentElement &&
            event.target.parentElement.querySelector('#sdtune_upload') &&
            sets.refresh(PATIENCE),
    );
    document.readyState === 'loading' ? document.addEventListener('DOMContentLoaded', begin) : begin();
})(window.sdtune);
