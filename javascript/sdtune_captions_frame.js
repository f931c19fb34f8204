// Captions: what stands where on the half of the page for captions.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const captions = (sdtune.captions = sdtune.captions || {});
    const t = (...args) => sdtune.t(...args);
    const controls = () => sdtune.controls;

    captions.frame = function (place) {
        const {el} = sdtune;
        const {labelled, input, select, action, note} = controls();
        const open = el(
            'div',
            {class: 'sdtune-card'},
            el(
                'div',
                {class: 'sdtune-line'},
                labelled('captions_folder', t('Folder of pictures'), input(t('folder on the machine that trains'))),
                labelled(
                    'captions_ending',
                    t('Captions are in'),
                    select([
                        ['.txt', '.txt'],
                        ['.caption', '.caption'],
                    ]),
                ),
                action('captions_load', t('Load'), () => captions.load(false), 'sdtune-strong'),
            ),
            note('captions_note'),
            el(
                'div',
                {class: 'sdtune-buttons', id: 'sdtune_captions_again_line', hidden: true},
                action(
                    'captions_again',
                    t('Drop the changes and read the files again'),
                    (event) => sdtune.sure(event.target) && captions.load(true),
                ),
            ),
        );
        const desk = el('div', {id: 'sdtune_captions_desk', hidden: true}, gallery(), sidebar());
        place.append(open, desk);
    };

    async function undo() {
        if (await captions.change('undo')) captions.forgetEdits();
    }

    function gallery() {
        const {el} = sdtune;
        const {input, action, note} = controls();
        const search = input(t('cat and not dog, "whole tag", red*, or: missing'), {
            id: 'sdtune_captions_query',
            'aria-label': t('Filter'),
            onchange: () => captions.turnTo(0),
        });
        const pager = el(
            'div',
            {class: 'sdtune-buttons sdtune-pager'},
            action('captions_back', '‹', () => captions.turnBy(-1)),
            el('span', {class: 'sdtune-soft', id: 'sdtune_captions_page'}),
            action('captions_next', '›', () => captions.turnBy(1)),
        );
        pager.firstChild.setAttribute('aria-label', t('Previous page'));
        pager.lastChild.setAttribute('aria-label', t('Next page'));
        return el(
            'div',
            {class: 'sdtune-main'},
            el(
                'div',
                {class: 'sdtune-line'},
                search,
                action('captions_missing', t('Without caption'), () => captions.filter('missing')),
                action('captions_all', t('Show all'), () => captions.filter('')),
            ),
            note('captions_filter_note'),
            el('div', {class: 'sdtune-head'}, el('span', {class: 'sdtune-soft', id: 'sdtune_captions_found'}), pager),
            el('div', {id: 'sdtune_captions_pictures'}),
        );
    }

    function sidebar() {
        const {el} = sdtune;
        const wide = window.innerWidth > 900;
        const group = (title, open, ...inside) =>
            el(
                'details',
                {class: 'sdtune-card', open: open && wide},
                el('summary', {}, el('h4', {}, title)),
                ...inside,
            );
        const {action, note, bar} = controls();
        return el(
            'aside',
            {},
            el(
                'div',
                {class: 'sdtune-card', id: 'sdtune_captions_saving'},
                el('span', {id: 'sdtune_captions_changed'}),
                el(
                    'div',
                    {class: 'sdtune-buttons'},
                    action('captions_save', t('Save captions'), captions.save, 'sdtune-strong'),
                    action('captions_undo', t('Undo'), undo),
                ),
                bar('captions_save_bar'),
                note('captions_saved'),
                el('div', {class: 'sdtune-buttons', id: 'sdtune_captions_elsewhere', hidden: true}),
            ),
            group(t('Change many at once'), true, ...captions.editing()),
            group(t('Trigger word'), false, ...captions.pruning()),
            group(
                t('Tags'),
                true,
                el('p', {class: 'sdtune-soft', id: 'sdtune_captions_kinds'}),
                el('div', {class: 'sdtune-cloud', id: 'sdtune_captions_cloud'}),
            ),
            group(t('Automatic captions'), false, ...captions.describing()),
            group(
                t('As the trainer reads them'),
                false,
                el(
                    'p',
                    {class: 'sdtune-soft'},
                    t('Five captions with the shuffling and dropout set on the Train page.'),
                ),
                el(
                    'div',
                    {class: 'sdtune-buttons'},
                    action('captions_finals_show', t('Show five'), () => captions.finals()),
                ),
                note('captions_finals_note'),
                el('div', {id: 'sdtune_captions_finals', class: 'sdtune-changes'}),
            ),
        );
    }
})(window.sdtune);
