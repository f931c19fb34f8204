// The page Pictures: its two halves, captions and preparing. `facts` are the settings that the server declares.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const picturesPage = (sdtune.picturesPage = {facts: {}});
    const t = (...args) => sdtune.t(...args);

    picturesPage.goto = (name) =>
        [...document.querySelectorAll('#sdtune_pages > .tab-nav > button')][name === 'train' ? 0 : 1].click();

    // The two halves

    picturesPage.show = function (name) {
        sdtune.controls.store('half', name);
        for (const button of document.querySelectorAll('#sdtune_workshop [data-half]')) {
            button.setAttribute('aria-pressed', button.dataset.half === name);
            sdtune.show('sdtune_half_' + button.dataset.half, button.dataset.half === name);
        }
    };

    function frame(root) {
        const {el} = sdtune;
        picturesPage.facts = JSON.parse(root.dataset.facts);
        const half = (name, label) =>
            el(
                'button',
                {type: 'button', class: 'sdtune-button', 'data-half': name, onclick: () => picturesPage.show(name)},
                label,
            );
        root.append(
            el(
                'div',
                {class: 'sdtune-buttons sdtune-halves'},
                half('captions', t('Captions')),
                half('prepare', t('Resize, crop, background')),
            ),
            el('div', {id: 'sdtune_half_captions'}),
            el('div', {id: 'sdtune_half_prepare', hidden: true}),
        );
        sdtune.captions.frame(sdtune.byId('sdtune_half_captions'));
        sdtune.prepare.frame(sdtune.byId('sdtune_half_prepare'));
        picturesPage.show(sdtune.controls.stored().half === 'prepare' ? 'prepare' : 'captions');
    }

    function begin() {
        sdtune.whenSeen('sdtune_workshop', frame, () => {
            sdtune.captions.opened();
            sdtune.prepare.opened();
        });
    }
    document.readyState === 'loading' ? document.addEventListener('DOMContentLoaded', begin) : begin();
})(window.sdtune);
