// Class pictures being drawn: how many, and Stop.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const classPictures = (sdtune.classPictures = {});
    const t = (...args) => sdtune.t(...args);
    let timer = null;

    classPictures.refresh = async function () {
        clearTimeout(timer);
        const status = await sdtune.call('class-pictures').catch(() => null);
        if (status && sdtune.byId('sdtune_class_work')) draw(status.work);
    };

    function draw(work) {
        const place = sdtune.byId('sdtune_class_work');
        if (!work) return place.replaceChildren();
        const {controls} = sdtune;
        if (!place.firstChild) {
            place.append(
                controls.bar('class_bar'),
                controls.note('class_note'),
                controls.action(
                    'class_stop',
                    t('Stop drawing'),
                    () =>
                        sdtune
                            .call('class-pictures/stop', 'POST')
                            .then(classPictures.refresh)
                            .catch(() => {}),
                    'sdtune-small',
                ),
            );
        }
        const on = controls.busy(work);
        const ended = {
            done: t('Class pictures drawn: {n}', {n: work.done}),
            stopped: t('Stopped; what is drawn stays, and drawing again goes on.'),
            failed: work.message,
        };
        const at = [controls.progress('class_bar', work), on && work.message].filter(Boolean).join(' · ');
        controls.say('class_note', at || ended[work.state], work.state === 'failed');
        sdtune.show('sdtune_class_stop', on);
        if (on) timer = setTimeout(classPictures.refresh, 1000);
    }
})(window.sdtune);
