// Captions: what a program does with them while one watches: describing, saving;
// and five as the trainer will read them.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const captions = (sdtune.captions = sdtune.captions || {});
    const t = (...given) => sdtune.t(...given);
    const shop = () => sdtune.workshop;
    let timer = null;
    let showing = 0;
    let expected = false; // a save that was asked for here

    captions.describing = function () {
        const {el} = sdtune;
        const {labelled, select, field, action, note, bar, facts} = shop();
        const known = select(facts.captioners.map((one) => [one.name, t(one.label)]));
        const options = facts.captioners.map((one) =>
            el(
                'div',
                {class: 'sdtune-fields', 'data-captioner': one.name},
                ...one.fields.map((each) => field(one.name + '_', each)),
            ),
        );
        const seen = () => options.forEach((one) => sdtune.show(one, one.dataset.captioner === known.value));
        known.addEventListener('change', seen);
        const parts = [
            labelled('captions_captioner', t('Written by'), known),
            labelled(
                'captions_existing',
                t('Captions that are there'),
                select([
                    ['keep', t('stay as they are')],
                    ['append', t('get the new words at the end')],
                    ['prepend', t('get the new words in front')],
                    ['replace', t('are replaced')],
                ]),
            ),
            ...options,
            el(
                'div',
                {class: 'sdtune-buttons'},
                action('captions_describe', t('Write captions'), describe, 'sdtune-strong'),
                action('captions_stop', t('Stop'), () => captions.ask('stop').then(() => captions.follow(300))),
            ),
            bar('captions_bar'),
            note('captions_work'),
        ];
        seen();
        return parts;
    };

    // The options of a captioner as they are typed here; preparing uses them too.
    captions.options = function (name) {
        const entry = shop().facts.captioners.find((one) => one.name === name);
        return entry ? shop().typed(name + '_', entry.fields) : {};
    };

    async function describe() {
        const name = shop().value('captions_captioner');
        const begun = await captions.ask(
            'describe',
            {
                captioner: name,
                options: captions.options(name),
                existing: shop().value('captions_existing'),
                query: captions.query(),
            },
            'captions_work',
        );
        if (begun) captions.follow(300);
    }

    captions.finals = async function () {
        const {value} = sdtune.form;
        const settings = {shuffle_caption: Boolean(value('dataset.shuffle_caption'))};
        for (const name of ['keep_tokens', 'caption_dropout_rate', 'caption_tag_dropout_rate'])
            settings[name] = Number(value('dataset.' + name)) || 0;
        const found = await captions.ask(
            'finals',
            {
                dataset: settings,
                prompt: value('concept.prompt') || '',
                word: sdtune.form.word() || value('name') || '',
                seed: Math.max(0, Number(value('train.seed')) || 0),
                showing: showing++,
            },
            'captions_finals_note',
        );
        if (!found) return;
        const {el} = sdtune;
        shop().say('captions_finals_note', '');
        sdtune.text('sdtune_captions_finals_show', t('Show the next time they are seen'));
        sdtune
            .byId('sdtune_captions_finals')
            .replaceChildren(
                ...found.map((one) =>
                    el(
                        'p',
                        {},
                        el(
                            'b',
                            {},
                            one.name,
                            one.tokens !== null &&
                                el(
                                    'span',
                                    {class: one.tokens > 75 ? 'sdtune-many' : 'sdtune-soft'},
                                    ' ' + t('{n} tokens', {n: one.tokens}),
                                ),
                        ),
                        one.caption || t('(empty)'),
                    ),
                ),
            );
    };

    // While captions are written by a program

    // saved: whether it was asked here to save, so that the end is told.
    captions.follow = function (wait, saved) {
        expected = expected || Boolean(saved);
        clearTimeout(timer);
        timer = setTimeout(async () => {
            const found = await sdtune.call(captions.path('work')).catch(() => null);
            if (found && shop().busy(found.work)) captions.working(found.work);
            else captions.refresh();
        }, wait);
    };

    captions.working = function (work) {
        const on = shop().busy(work);
        const describing = work && work.what === 'describe' ? work : null;
        const ends = {
            done: t('Done; look at them, then save.'),
            stopped: t('Stopped; what was written stays, not saved yet.'),
        };
        shop().say(
            'captions_work',
            shop().progress('captions_bar', describing) || (describing ? ends[work.state] || work.message : ''),
            describing && work.state === 'failed',
        );
        sdtune.show('sdtune_captions_stop', on && describing);
        sdtune.show('sdtune_captions_describe', !on);
        saving(work && work.what === 'save' ? work : null, on);
        if (on) captions.follow(1000);
    };

    function saving(work, on) {
        const progress = shop().progress('captions_save_bar', work);
        if (on && work) return shop().say('captions_saved', progress);
        if (!work || !expected) return;
        expected = false;
        for (const id of ['edit', 'prune']) shop().say(`captions_${id}_note`, ''); // they said "not saved yet"
        const problems = work.problems || [];
        const told =
            work.state === 'done'
                ? t('Captions saved: {n}; the old ones are beside them as .bak.', {n: work.written})
                : work.message;
        shop().say('captions_saved', [told, ...problems].join(' '), problems.length || work.state === 'failed');
    }
})(window.sdtune);
