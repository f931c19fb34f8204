// Class pictures being drawn: how many, and Stop.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const classes = (sdtune.classes = {});
    const t = (...given) => sdtune.t(...given);
    let timer = null;

    classes.look = async function () {
        clearTimeout(timer);
        const found = await sdtune.call('class-pictures').catch(() => null);
        if (found && sdtune.byId('sdtune_class_work')) draw(found.work);
    };

    function draw(work) {
        const place = sdtune.byId('sdtune_class_work');
        if (!work) return place.replaceChildren();
        const {workshop} = sdtune;
        if (!place.firstChild) {
            place.append(
                workshop.bar('class_bar'),
                workshop.note('class_note'),
                workshop.action(
                    'class_stop',
                    t('Stop drawing'),
                    () =>
                        sdtune
                            .call('class-pictures/stop', 'POST')
                            .then(classes.look)
                            .catch(() => {}),
                    'sdtune-small',
                ),
            );
        }
        const on = workshop.busy(work);
        const ended = {
            done: t('Class pictures drawn: {n}', {n: work.done}),
            stopped: t('Stopped; what is drawn stays, and drawing again goes on.'),
            failed: work.message,
        };
        workshop.say('class_note', workshop.progress('class_bar', work) || ended[work.state], work.state === 'failed');
        sdtune.show('sdtune_class_stop', on);
        if (on) timer = setTimeout(classes.look, 1000);
    }
})(window.sdtune);
