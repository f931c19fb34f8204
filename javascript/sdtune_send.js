// "Send to txt2img": the words into the prompt, and where a checkpoint was trained, that into the drop-down at the top.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const send = (sdtune.send = {});
    const t = (...args) => sdtune.t(...args);
    const patience = () => window.sdtune_timeout || 120e3; // milliseconds that loading a checkpoint may take
    const promptBox = () => document.querySelector('#txt2img_prompt textarea');

    // The button and its note. words: what belongs into the prompt, each unless it is there. checkpoint: the name of
    // one that has to be chosen first, or "". size: of the run's samples, [width, height].
    send.controls = function (words, checkpoint, size) {
        if (!(words.length || checkpoint) || !promptBox()) return [];
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
                onclick: () => act(words, checkpoint, size),
            },
            t('Send to txt2img'),
        );
        return [button, sdtune.el('span', {class: 'sdtune-soft', id: 'sdtune_send_note', role: 'status'})];
    };

    async function act(words, checkpoint, size) {
        const area = promptBox();
        const missing = words.filter((word) => word && !says(area.value, word));
        area.value = [area.value.trim(), ...missing].filter(Boolean).join(' ');
        area.dispatchEvent(new Event('input', {bubbles: true}));
        if (size) suit(size);
        if (checkpoint && window.selectCheckpoint && !(await chosen(checkpoint))) return;
        if (window.switch_to_txt2img) window.switch_to_txt2img();
    }

    // Whether a prompt has the words, each of them whole, or the tag, with any weight: who wrote another one meant it.
    function says(prompt, words) {
        const tag = words.match(/^<\w+:[^:>]+/) || words.match(/^\([^()]+(?=:[\d.]+\)$)/);
        if (tag && tag[0][0] === '<') return prompt.includes(tag[0] + ':') || prompt.includes(tag[0] + '>');
        return stands(prompt, tag ? tag[0].slice(1) : words);
    }

    function stands(prompt, words) {
        const plain = (text) => text.toLowerCase().replace(/\s+/g, ' ');
        const literal = plain(words).replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
        return new RegExp(`(^|[^\\p{L}\\p{N}])${literal}($|[^\\p{L}\\p{N}])`, 'u').test(plain(untagged(prompt)));
    }

    // A word in the name of a tag is none of the prompt's.
    const untagged = (prompt) => prompt.replace(/<[^>]*>/g, ' ');

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
