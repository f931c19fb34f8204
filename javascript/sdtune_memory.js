// The memory line: what the settings need, estimated as they change, measured when asked for.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const memory = (sdtune.memory = {});
    const t = (...args) => sdtune.t(...args);
    const SETTINGS =
        /^(method$|model\.|train\.(batch_size|optimizer$|gradient|mixed)|dataset\.resolution|loss\.prior_preservation)/;
    let timer = null;
    let delay = null;
    let waited = false;

    // Called for every field that changes: what was measured counts no more.
    memory.changed = function (path) {
        if (!SETTINGS.test(path) && !(path.split('.')[0] in sdtune.methods())) return;
        clearTimeout(delay);
        delay = setTimeout(memory.estimate, 500);
    };
    memory.estimate = function () {
        const button = sdtune.byId('sdtune_estimate_button');
        if (button) button.click();
    };

    memory.estimated = function (text) {
        let facts = {};
        try {
            facts = sdtune.spoken(JSON.parse(text));
        } catch (problem) {
            /* an empty answer: nothing to say */
        }
        if (!waited) draw(facts);
    };

    // How far the measuring is; its figures are shown to whoever waited for them.
    memory.refresh = async function (expected) {
        clearTimeout(timer);
        const status = await sdtune.call('measure').catch(() => null);
        if (!status || !sdtune.byId('sdtune_memory')) return;
        const on = sdtune.controls.busy(status.work);
        if (on) {
            waited = true;
            progress(status.work);
            timer = setTimeout(memory.refresh, 700);
        } else if (waited || expected) {
            waited = false;
            if (status.work && status.work.state === 'done' && status.found) draw(status.found);
            else if (status.work && status.work.state === 'failed') say(status.work.message, true);
            else memory.estimate();
        }
    };

    const line = (...children) => sdtune.byId('sdtune_memory').replaceChildren(...children);
    const say = (text, bad) =>
        line(
            sdtune.el(
                'p',
                {class: bad ? 'sdtune-box sdtune-red' : 'sdtune-memory-line', role: bad ? 'alert' : 'status'},
                text,
            ),
        );

    function progress(work) {
        const {el} = sdtune;
        if (!sdtune.byId('sdtune_memory_note')) {
            line(
                el(
                    'p',
                    {class: 'sdtune-memory-line', role: 'status'},
                    el('span', {id: 'sdtune_memory_note'}),
                    ' ',
                    sdtune.controls.action(
                        'memory_stop',
                        t('Stop measuring'),
                        () =>
                            sdtune
                                .call('measure/stop', 'POST')
                                .then(() => memory.refresh())
                                .catch(() => {}),
                        'sdtune-small',
                    ),
                ),
            );
        }
        const NAMES = {'waiting for the model': 'waiting for the model', 'measuring two steps': 'measuring two steps'};
        sdtune.text('sdtune_memory_note', t(NAMES[work.text] || 'measuring two steps') + ' …');
    }

    function draw(facts) {
        const {el} = sdtune;
        if (!facts.sentence) return line();
        const good = facts.fits && !Object.keys(facts.changes).length;
        const parts = [
            el(
                'p',
                {class: 'sdtune-memory-line ' + (good ? 'sdtune-fits' : 'sdtune-fits-not'), role: 'status'},
                facts.sentence,
            ),
        ];
        const changes = Object.entries(facts.changes);
        if (changes.length) {
            parts.push(
                el(
                    'ul',
                    {class: 'sdtune-changes-list'},
                    ...changes
                        .filter(([path]) => path !== 'train.optimizer_args')
                        .map(([path, value]) => el('li', {}, `${label(path)}: ${value}`)),
                ),
            );
            parts.push(
                sdtune.controls.action('memory_use', t('Use these settings'), () => use(facts.changes), 'sdtune-small'),
            );
        }
        line(...parts);
    }

    // The server's answer takes a moment; a click shows at once that it was heard.
    document.addEventListener('click', (event) => {
        if (event.target.closest('#sdtune_measure')) say(t('waiting for the model') + ' …');
    });

    const field = (path) => sdtune.form.field(path);
    const label = (path) => sdtune.form.label(path) || path;

    function use(changes) {
        const values = Object.entries(changes).map(([path, value]) => {
            const typed = typeof value === 'object' ? '' : value; // emptied arguments
            return [path, field(path) && field(path).querySelector('textarea') ? String(typed) : typed];
        });
        sdtune.form.fill(Object.fromEntries(values));
    }
})(window.sdtune);
