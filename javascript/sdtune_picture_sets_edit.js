// The sets of uploaded pictures as rows: renamed, deleted.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    const say = (text, bad) => sdtune.controls.say('sets_note', text, bad);

    sdtune.pictureSetsFrame = () =>
        sdtune.el(
            'details',
            {id: 'sdtune_sets', hidden: true},
            sdtune.el('summary', {}, t('Rename or delete uploaded pictures')),
            sdtune.el('div', {id: 'sdtune_sets_list'}),
            sdtune.controls.note('sets_note'),
        );

    sdtune.drawPictureSets = function (sets) {
        sdtune.show('sdtune_sets', sets.length);
        const list = sdtune.byId('sdtune_sets_list');
        sdtune.keepFocus(list, () => list.replaceChildren(...sets.map(row)), sdtune.byId('sdtune_picture_sets'));
    };

    function row({name, folder, pictures}) {
        const {el, controls} = sdtune;
        const field = controls.input(t('name of the set'), {
            value: name,
            'aria-label': t('Rename'),
            title: t('Rename'),
        });
        field.addEventListener('change', () => rename(name, folder, field.value));
        const remove = (event) => sdtune.sure(event.currentTarget) && ask(address(name), 'DELETE');
        return el(
            'div',
            {class: 'sdtune-line'},
            field,
            el('span', {class: 'sdtune-soft'}, t('Pictures: {n}', {n: pictures})),
            el('button', {type: 'button', class: 'sdtune-button sdtune-small', onclick: remove}, t('Delete')),
        );
    }

    const address = (name) => 'picture-sets/' + encodeURIComponent(name);

    // The form goes along where it names the set.
    async function rename(name, folder, to) {
        const renamed = await ask(address(name) + '/rename', 'POST', {to});
        if (renamed && sdtune.form.value('concept.images') === folder)
            sdtune.form.fill({'concept.images': renamed.folder});
    }

    async function ask(path, method, body) {
        let answer = null;
        try {
            answer = await sdtune.call(path, method, body);
            say('');
        } catch (problem) {
            say(problem.message, true);
        }
        await sdtune.pictureSets.refresh();
        return answer;
    }
})(window.sdtune);
