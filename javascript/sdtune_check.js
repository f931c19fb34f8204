// Check and Start: while a large folder is looked through, how far it is, and Stop.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...given) => sdtune.t(...given);
    const PATIENCE = 8; // looks after which nothing large seems to have begun
    let timer = null;

    function place() {
        const {el, workshop} = sdtune;
        const there = sdtune.byId('sdtune_check_work');
        if (there) return there;
        const made = el('div', {id: 'sdtune_check_work', hidden: true});
        sdtune.byId('sdtune_report').before(made);
        made.append(
            workshop.bar('check_bar'),
            workshop.note('check_note'),
            workshop.action(
                'check_stop',
                t('Stop'),
                () => sdtune.call('inspect/stop', 'POST').catch(() => {}),
                'sdtune-small',
            ),
        );
        return made;
    }

    function follow(left, began) {
        clearTimeout(timer);
        timer = setTimeout(async () => {
            const found = await sdtune.call('inspect').catch(() => null);
            const work = found && found.work;
            const on = sdtune.workshop.busy(work);
            if (on || sdtune.byId('sdtune_check_work')) draw(work, on);
            if (on || (!began && left > 1)) follow(left - 1, began || on);
        }, 600);
    }

    function draw(work, on) {
        sdtune.show(place(), on);
        sdtune.workshop.say('check_note', sdtune.workshop.progress('check_bar', work));
    }

    document.addEventListener(
        'click',
        (event) =>
            event.target.closest && event.target.closest('#sdtune_check, #sdtune_start') && follow(PATIENCE, false),
    );
})(window.sdtune);
