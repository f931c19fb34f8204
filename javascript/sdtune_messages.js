// What Start, Check, Upload and Generate class pictures answer: a click shows at once that it was heard, what stops
// Start is brought before the eye, and an answer goes when what it speaks of has changed.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const messages = (sdtune.messages = {});
    // button: where its answer stands
    const PLACES = {
        start: 'sdtune_start_message',
        check: 'sdtune_report',
        upload: 'sdtune_report',
        class_draw: 'sdtune_class_message',
    };
    const PATIENCE = 120e3; // milliseconds after which a button can be pressed again, whatever became of its answer
    const ANYTHING = /./;
    const CHECKED = /^(?!(name|overwrite|sample\.))/; // what Check's report does not speak of: samples, the name
    const CLASS = /^(method|concept\.|further_concepts|model\.|name)/;
    const SPEAKS_OF = {sdtune_start_message: ANYTHING, sdtune_report: CHECKED, sdtune_class_message: CLASS};

    // Hidden rather than emptied: what gradio has drawn it does not draw again when the next answer is the same.
    const stale = (messages.stale = (element, gone) => element && element.classList.toggle('sdtune-stale', gone));

    // A field was changed, by a person or a preset.
    messages.changed = function (path) {
        for (const [id, fields] of Object.entries(SPEAKS_OF)) if (fields.test(path)) stale(sdtune.byId(id), true);
        if (path === 'name')
            for (const box of document.querySelectorAll('#sdtune_report .sdtune-red')) stale(box, true);
    };

    // The server has answered a button of the form.
    messages.answered = function (name) {
        const place = sdtune.byId(PLACES[name]);
        rest(sdtune.byId('sdtune_' + name), false);
        sdtune.sayBoxes(place);
        for (const box of place.querySelectorAll('.sdtune-red, .sdtune-yellow')) sdtune.linkFields(box);
        stale(place, false);
        for (const box of place.querySelectorAll('.sdtune-stale')) stale(box, false);
        sdtune.announceBoxes(place);
        const problem = place.querySelector('[role="alert"]');
        if (name !== 'start' || !problem) return;
        problem.tabIndex = -1;
        problem.scrollIntoView({block: 'center', behavior: 'smooth'});
        problem.focus({preventScroll: true});
    };

    function rest(button, resting) {
        if (!button) return;
        const focused = document.activeElement;
        if (resting) button.sdtuneFocused = focused === button; // a button that is off loses the focus
        button.disabled = resting;
        button.classList.toggle('sdtune-asked', resting);
        if (!resting && button.sdtuneFocused && (!focused || focused === document.body))
            button.focus({preventScroll: true});
        if (!resting) button.sdtuneFocused = false;
        clearTimeout(button.sdtuneTimer);
        if (resting) button.sdtuneTimer = setTimeout(() => rest(button, false), PATIENCE);
    }

    // After gradio has heard the click: a button that is off hears none.
    document.addEventListener('click', (event) => {
        const button = event.target.closest && event.target.closest('#sdtune_start, #sdtune_check, #sdtune_class_draw');
        if (button) setTimeout(() => rest(button, true), 0);
    });
})(window.sdtune);
