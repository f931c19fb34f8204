// Captions: what a program does with them while one watches: describing, saving;
// and five as the trainer will read them.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const captions = (sdtune.captions = sdtune.captions || {});
    const t = (...args) => sdtune.t(...args);
    const controls = () => sdtune.controls;
    let timer = null;
    let showing = 0;
    let expected = false; // a save that was asked for here

    captions.describing = function () {
        const {el} = sdtune;
        const {labelled, select, field, action, note, bar} = controls();
        const {facts} = sdtune.picturesPage;
        const choice = select(facts.captioners.map((captioner) => [captioner.name, t(captioner.label)]));
        const options = facts.captioners.map((captioner) =>
            el(
                'div',
                {class: 'sdtune-fields', 'data-captioner': captioner.name},
                ...captioner.fields.map((setting) => field(captioner.name + '_', setting)),
            ),
        );
        const showOptions = () =>
            options.forEach((group) => sdtune.show(group, group.dataset.captioner === choice.value));
        choice.addEventListener('change', showOptions);
        const parts = [
            labelled('captions_captioner', t('Written by'), choice),
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
        showOptions();
        return parts;
    };

    // The options of a captioner as they are typed here; preparing uses them too.
    captions.options = function (name) {
        const entry = sdtune.picturesPage.facts.captioners.find((candidate) => candidate.name === name);
        return entry ? controls().values(name + '_', entry.fields) : {};
    };

    async function describe() {
        const name = controls().value('captions_captioner');
        const work = await captions.ask(
            'describe',
            {
                captioner: name,
                options: captions.options(name),
                existing: controls().value('captions_existing'),
                query: captions.query(),
            },
            'captions_work',
        );
        if (work) captions.follow(300);
    }

    captions.finals = async function () {
        const {value} = sdtune.form;
        const settings = {shuffle_caption: Boolean(value('dataset.shuffle_caption'))};
        for (const name of ['keep_tokens', 'caption_dropout_rate', 'caption_tag_dropout_rate'])
            settings[name] = Number(value('dataset.' + name)) || 0;
        const rows = await captions.ask(
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
        if (!rows) return;
        const {el} = sdtune;
        controls().say('captions_finals_note', '');
        sdtune.text('sdtune_captions_finals_show', t('Show the next time they are seen'));
        sdtune
            .byId('sdtune_captions_finals')
            .replaceChildren(
                ...rows.map((row) =>
                    el(
                        'p',
                        {},
                        el(
                            'b',
                            {},
                            row.name,
                            row.tokens !== null &&
                                el(
                                    'span',
                                    {class: row.tokens > 75 ? 'sdtune-many' : 'sdtune-soft'},
                                    ' ' + t('tokens: {n}', {n: row.tokens}),
                                ),
                        ),
                        row.caption || t('(empty)'),
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
            const status = await sdtune.call(captions.path('work')).catch(() => null);
            if (status && controls().busy(status.work)) captions.working(status.work);
            else captions.refresh();
        }, wait);
    };

    captions.working = function (work, asked) {
        const on = controls().busy(work);
        const describing = work && work.what === 'describe' ? work : null;
        const ends = {
            done: t('Done; look at them, then save.'),
            stopped: t('Stopped; what was written stays, not saved yet.'),
        };
        controls().say(
            'captions_work',
            controls().progress('captions_bar', describing) || (describing ? ends[work.state] || work.message : ''),
            describing && work.state === 'failed',
            asked,
        );
        sdtune.show('sdtune_captions_stop', on && describing);
        sdtune.show('sdtune_captions_describe', !on);
        saving(work && work.what === 'save' ? work : null, on);
        if (on) captions.follow(1000);
    };

    function saving(work, on) {
        const progress = controls().progress('captions_save_bar', work);
        if (on && work) return controls().say('captions_saved', progress);
        if (!work || !expected) return;
        expected = false;
        captions.forgetEdits();
        const problems = work.problems || [];
        const sentence =
            work.state === 'done'
                ? t('Captions saved: {n}; the first text is beside each as .bak, that of the day before as .day.bak.', {
                      n: work.written,
                  })
                : work.message;
        controls().say('captions_saved', [sentence, ...problems].join(' '), problems.length || work.state === 'failed');
    }
})(window.sdtune);
