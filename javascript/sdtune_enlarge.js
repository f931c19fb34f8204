// A picture large, over the page: arrow keys walk to the others, a click or Escape closes.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    // pictures: [{src, words}]; index: the one that is shown first.
    sdtune.enlarge = function (pictures, index) {
        const {el} = sdtune;
        const picture = el('img', {});
        const caption = el('p', {});
        const dialog = el(
            'dialog',
            {class: 'sdtune-dialog', onclick: () => dialog.close(), onclose: () => dialog.remove()},
            picture,
            caption,
        );
        const turn = (to) => {
            index = (to + pictures.length) % pictures.length;
            picture.src = pictures[index].src;
            picture.alt = pictures[index].words;
            caption.textContent = pictures[index].words;
        };
        dialog.addEventListener('keydown', (event) => {
            if (event.key === 'ArrowRight') turn(index + 1);
            if (event.key === 'ArrowLeft') turn(index - 1);
        });
        turn(index);
        sdtune.byId('sdtune_panel').append(dialog);
        dialog.showModal();
    };
})(window.sdtune);
