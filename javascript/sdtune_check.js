// Check and Start: while a large folder is looked through, how far it is, and Stop.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    const PATIENCE = 8; // looks after which nothing large seems to have begun
    let timer = null;

    function place() {
        const {el, controls} = sdtune;
        const present = sdtune.byId('sdtune_check_work');
        if (present) return present;
        const line = el('div', {id: 'sdtune_check_work', hidden: true});
        sdtune.byId('sdtune_report').before(line);
        line.append(
            controls.bar('check_bar'),
            controls.note('check_note'),
            controls.action(
                'check_stop',
                t('Stop'),
                () => sdtune.call('inspect/stop', 'POST').catch(() => {}),
                'sdtune-small',
            ),
        );
        return line;
    }

    function follow(left, began) {
        clearTimeout(timer);
        timer = setTimeout(async () => {
            const status = await sdtune.call('inspect').catch(() => null);
            const work = status && status.work;
            const on = sdtune.controls.busy(work);
            if (on || sdtune.byId('sdtune_check_work')) draw(work, on);
            if (on || (!began && left > 1)) follow(left - 1, began || on);
        }, 600);
    }

    function draw(work, on) {
        sdtune.show(place(), on);
        sdtune.controls.say('check_note', sdtune.controls.progress('check_bar', work));
    }

    document.addEventListener(
        'click',
        (event) =>
            event.target.closest && event.target.closest('#sdtune_check, #sdtune_start') && follow(PATIENCE, false),
    );
})(window.sdtune);
