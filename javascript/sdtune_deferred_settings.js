// Settings of the WebUI that were changed while a run has the model: that they wait for its end, and what came of it.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    let drawn = '';

    // about: what the server says of the model, with the run that has it and the changes.
    sdtune.drawDeferredSettings = function (about) {
        const place = sdtune.byId('sdtune_deferred');
        const mark = JSON.stringify([about.on, about.deferred_settings]);
        if (!place || mark === drawn) return;
        drawn = mark;
        const changes = about.deferred_settings || [];
        sdtune.keepFocus(place, () => place.replaceChildren(...changes.map((change) => line(change, about.on))));
    };

    const line = (change, run) =>
        sdtune.el(
            'p',
            {class: 'sdtune-note', 'data-setting': change.setting},
            words(change, run),
            ' ',
            sdtune.el(
                'button',
                {type: 'button', class: 'sdtune-button sdtune-small', onclick: () => drop(change.setting)},
                change.state === 'waiting' ? t('Leave it as it is') : t('Hide'),
            ),
        );

    function words({label, value, checkpoint, asked, state}, run) {
        const time = sdtune.clock(asked);
        const said = {label: t(label), value, time, ...(run && {run: run.id, model: run.model})};
        if (state === 'done')
            return checkpoint
                ? t('{value} has been loaded, as asked at {time}.', said)
                : t('The setting "{label}" has become {value}, as asked at {time}.', said);
        if (state === 'failed')
            return checkpoint
                ? t('{value} could not be loaded, as was asked at {time}; the console says why.', said)
                : t('The setting "{label}" could not become {value}, as was asked at {time}.', said);
        if (checkpoint)
            return run
                ? t('{run} trains {model}; {value} is loaded when it has ended.', said)
                : t('The model is in use; {value} is loaded when it is free.', said);
        return run
            ? t('{run} trains {model}; the setting "{label}" becomes {value} when it has ended.', said)
            : t('The model is in use; the setting "{label}" becomes {value} when it is free.', said);
    }

    async function drop(setting) {
        try {
            sdtune.drawDeferredSettings(
                await sdtune.call('deferred-settings/' + encodeURIComponent(setting), 'DELETE'),
            );
        } catch (problem) {
            sdtune.status.say(problem.message);
        }
    }
})(window.sdtune);
