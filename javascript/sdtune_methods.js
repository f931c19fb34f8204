// The methods and the kinds of their files, as the server declares them.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const declared = (name) => JSON.parse((sdtune.byId('sdtune_panel') || {dataset: {}}).dataset[name] || '{}');

    // {name: {title, tag, cards, word, usable}}: the tag's kind in a prompt, the WebUI's page of cards, whether it
    // teaches a word, whether it can be chosen here.
    sdtune.methods = () => declared('methods');
    sdtune.method = (name) => sdtune.methods()[name] || {title: name, tag: '', cards: '', word: false, usable: false};

    // {kind: title}
    sdtune.kinds = () => declared('kinds');
})(window.sdtune);
