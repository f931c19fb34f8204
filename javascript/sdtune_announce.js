// What is seen to change is said to a screen reader: what became of a run, what an answer says.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    let known = null; // the run that was drawn last and its state

    // The place must be there before its words are, or they are not read out.
    function place() {
        const panel = sdtune.byId('sdtune_panel');
        const present = sdtune.byId('sdtune_said');
        if (present || !panel) return present;
        const said = sdtune.el('p', {id: 'sdtune_said', class: 'sdtune-unseen', role: 'status'});
        panel.append(said);
        return said;
    }

    sdtune.announce = function (text) {
        const said = place();
        if (said) sdtune.text(said, text);
    };

    // The run that is shown: what it has become, not what it was when it came into view.
    sdtune.announceRun = function (run) {
        place();
        const state = sdtune.stateOf(run);
        if (known && known.id === run.id && known.state !== state)
            sdtune.announce(t('{name}: {state}', {name: run.id, state}));
        known = {id: run.id, state};
    };

    // Red boxes are alerts and say themselves.
    sdtune.announceBoxes = function (area) {
        const boxes = [...area.querySelectorAll('.sdtune-box:not([role="alert"])')];
        if (boxes.length) sdtune.announce(boxes.map((box) => box.innerText).join('\n'));
    };

    document.readyState === 'loading' ? document.addEventListener('DOMContentLoaded', begin) : begin();

    function begin() {
        if (!place()) setTimeout(begin, 500);
    }
})(window.sdtune);
