// "Send to txt2img": the words into the prompt, and where a checkpoint was trained, that into the drop-down at the top.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const send = (sdtune.send = {});
    const t = (...args) => sdtune.t(...args);
    const patience = () => window.sdtune_timeout || 120e3; // milliseconds that loading a checkpoint may take
    const promptBox = () => document.querySelector('#txt2img_prompt textarea');

    // The button and its note. checkpoint: the name of the one that has to be chosen first, or "". size: of the run's
    // samples, [width, height].
    send.controls = function (text, checkpoint, size) {
        if (!(text || checkpoint) || !promptBox()) return [];
        const button = sdtune.el(
            'button',
            {
                type: 'button',
                class: 'sdtune-button sdtune-strong',
                id: 'sdtune_send',
                title: size
                    ? t('Where the size in txt2img is far from {width} × {height}, it is set to that.', {
                          width: size[0],
                          height: size[1],
                      })
                    : '',
                onclick: () => act(text, checkpoint, size),
            },
            t('Send to txt2img'),
        );
        return [button, sdtune.el('span', {class: 'sdtune-soft', id: 'sdtune_send_note', role: 'status'})];
    };

    async function act(text, checkpoint, size) {
        const area = promptBox();
        if (!area.value.includes(text)) area.value = [area.value.trim(), text].filter(Boolean).join(' ');
        area.dispatchEvent(new Event('input', {bubbles: true}));
        if (size) suit(size);
        if (checkpoint && window.selectCheckpoint && !(await chosen(checkpoint))) return;
        if (window.switch_to_txt2img) window.switch_to_txt2img();
    }

    // Whether the checkpoint is the chosen one now; else the note says what is the case.
    async function chosen(checkpoint) {
        const button = sdtune.byId('sdtune_send');
        const say = (words) => sdtune.text('sdtune_send_note', words);
        button.disabled = true;
        window.selectCheckpoint(checkpoint);
        say(t('loading {name} …', {name: checkpoint}));
        try {
            for (const begun = Date.now(); Date.now() - begun < patience(); ) {
                const about = await sdtune.call('').catch(() => ({}));
                const waiting = (about.deferred_settings || []).find(
                    (change) =>
                        change.checkpoint && change.state === 'waiting' && stem(change.value) === stem(checkpoint),
                );
                if (waiting) {
                    sdtune.drawDeferredSettings(about);
                    const name = checkpoint;
                    say(
                        about.on
                            ? t('{name} is chosen when {run} has ended; the prompt is in txt2img.', {
                                  name,
                                  run: about.on.id,
                              })
                            : t('{name} is chosen when the model is free; the prompt is in txt2img.', {name}),
                    );
                    return false;
                }
                if (stem(shown(about)) === stem(checkpoint)) {
                    say('');
                    return true;
                }
                await new Promise((done) => setTimeout(done, 500));
            }
            say(t('The list of checkpoints at the top does not show {name}; choose it there.', {name: checkpoint}));
            return false;
        } finally {
            button.disabled = false;
        }
    }

    // What the drop-down at the top shows; where there is none, what is loaded.
    function shown(about) {
        const box = document.querySelector('#setting_sd_model_checkpoint input');
        return box ? box.value : about.model;
    }

    // "ron" of "people/ron.safetensors [0123456789]"
    const stem = (title) =>
        String(title || '')
            .replace(/ \[\w+\]$/, '')
            .replace(/\.(safetensors|ckpt)$/, '')
            .split(/[\\/]/)
            .pop();

    // A model draws badly at less than half or more than twice the pixels that it was trained with.
    function suit(size) {
        const fields = ['width', 'height'].map((name) =>
            document.querySelector(`#txt2img_${name} input[type="number"]`),
        );
        if (!fields.every(Boolean)) return;
        const pixels = (numbers) => Number(numbers[0]) * Number(numbers[1]);
        const ratio = pixels(fields.map((field) => field.value)) / pixels(size);
        if (ratio >= 0.5 && ratio <= 2) return;
        fields.forEach((field, number) => {
            field.value = size[number];
            field.dispatchEvent(new Event('input', {bubbles: true}));
        });
    }
})(window.sdtune);
