// The keyboard's focus outlives a row that is taken away: the next row has it then, else the list itself.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const HARMLESS = ['[data-act="Show"]', 'input:not([type="checkbox"])', 'button'];

    // place: what holds the rows. draw(): draws them anew. within: what has the focus where there is no row left.
    sdtune.keepFocus = function (place, draw, within) {
        const focused = document.activeElement;
        const index = [...place.children].findIndex((row) => row.contains(focused));
        draw();
        if (index < 0 || (document.activeElement && document.activeElement !== document.body)) return;
        const rows = place.isConnected ? [...place.children] : [];
        const row = rows[Math.min(index, rows.length - 1)];
        focus((row && harmless(row)) || within || place);
    };

    const harmless = (row) =>
        row.matches('button') ? row : HARMLESS.map((wanted) => row.querySelector(wanted)).find(Boolean);

    function focus(element) {
        if (!element.matches('button, input, summary, [tabindex]')) element.tabIndex = -1;
        element.focus({preventScroll: true});
    }
})(window.sdtune);
