// Where no WebUI translates the page: the browser's language, if there is a table for it.
(function () {
    const tables = window.sdtune_languages || {};
    const wanted = (navigator.languages || [navigator.language]).map((name) => String(name).replace('-', '_'));
    const found = wanted
        .map((name) =>
            Object.keys(tables).find((known) => known === name || known.split('_')[0] === name.split('_')[0]),
        )
        .concat(null);
    const name = wanted.length && wanted[0].startsWith('en') ? null : found.find((known) => known !== undefined);
    if (!name) return;
    window.localization = tables[name];
    const said = (text) =>
        Object.prototype.hasOwnProperty.call(window.localization, text) ? window.localization[text] : null;

    function translate(root) {
        const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) {
            const text = said(walk.currentNode.textContent.trim());
            if (text) walk.currentNode.textContent = text;
        }
        for (const field of root.querySelectorAll ? root.querySelectorAll('[placeholder]') : []) {
            field.placeholder = said(field.placeholder) || field.placeholder;
        }
    }

    new MutationObserver((changes) =>
        changes.forEach((change) =>
            change.addedNodes.forEach((node) => translate(node.nodeType === 3 ? node.parentNode : node)),
        ),
    ).observe(document.documentElement, {childList: true, subtree: true});
})();
