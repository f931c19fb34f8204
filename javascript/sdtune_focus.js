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

    // Buttons that are off or hidden for a while: the focus comes back to the one that had it, or to its successor,
    // unless a person went elsewhere. draw(): turns them off and on. successors: {verb: [verbs]}. within: where none
    // is left.
    const left = new WeakMap(); // place -> the button that had the focus
    sdtune.returnFocus = function (place, draw, successors, within) {
        if (place.contains(document.activeElement)) left.set(place, document.activeElement);
        draw();
        const button = left.get(place);
        if (!button) return;
        const focused = document.activeElement;
        const able = (one) => one && !one.disabled && one.offsetParent !== null;
        const elsewhere = focused && focused !== document.body && focused !== button;
        if (elsewhere || (focused === button && able(button))) return left.delete(place);
        const verbs = [button.dataset.verb, ...(successors[button.dataset.verb] || [])];
        const next = verbs.map((verb) => place.querySelector(`[data-verb="${verb}"]`)).find(able);
        if (!next && place.offsetParent !== null) return;
        left.delete(place);
        focus(next || within);
    };

    const harmless = (row) =>
        row.matches('button') ? row : HARMLESS.map((wanted) => row.querySelector(wanted)).find(Boolean);

    function focus(element) {
        if (!element.matches('button, input, summary, [tabindex]')) element.tabIndex = -1;
        element.focus({preventScroll: true});
    }
})(window.sdtune);
