// The status card: how far, how fast, how long, and the buttons.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const byId = (id) => document.getElementById(id);
    const t = (...args) => sdtune.t(...args);
    const status = (sdtune.status = {});

    const NAMES = {
        queued: 'Queued',
        preparing: 'Preparing',
        training: 'Training',
        paused: 'Paused',
        finished: 'Finished',
        stopped: 'Stopped',
        failed: 'Failed',
        cancelled: 'Cancelled',
    };
    const SHARES = {samples: 'samples', validation: 'validation', saving: 'saving'};
    sdtune.stateName = (state) => t(NAMES[state] || state);
    sdtune.stateOf = (run) => sdtune.stateName(run.cancelled ? 'cancelled' : run.state);

    sdtune.duration = function (seconds) {
        const s = Math.max(0, Math.round(seconds));
        if (s < 60) return t('{s} s', {s});
        if (s < 3600) return t('{m} min {s} s', {m: Math.floor(s / 60), s: s % 60});
        return t('{h} h {m} min', {h: Math.floor(s / 3600), m: Math.floor((s % 3600) / 60)});
    };

    status.begin = function () {
        for (const button of byId('sdtune_controls').querySelectorAll('button')) {
            button.textContent = t(button.textContent);
            button.addEventListener('click', () => ask(button));
        }
        const show = byId('sdtune_next_show');
        show.textContent = t(show.textContent);
        show.addEventListener('click', () => sdtune.view.next && sdtune.choose(sdtune.view.next.id));
    };

    const PATHS = {cancel: 'stop?save=false', discard: 'stop?save=false', stop: 'stop?save=true'};

    // What was asked for and has not happened yet: a step may take long.
    const PROMISES = {
        pause: 'Pausing after this step.',
        stop: 'Stopping after this step.',
        discard: 'Stopping after this step.',
        sample: 'Drawing samples after this step.',
        save: 'Saving after this step.',
    };
    const DOUBLE_CLICK = 700; // milliseconds within which a second click belongs to the first
    const PATIENCE = 120e3; // milliseconds after which the buttons answer again, whatever became of it
    // Which button has the keyboard's focus when the one that was pressed is gone: none that would do harm.
    const SUCCESSORS = {pause: ['resume'], resume: ['pause']};
    const ENDING = {stop: true, discard: true, cancel: true};
    const asked = new Map(); // {verb: {run, before, at}}, the latest order last

    // Whether a button waits: for what it was pressed for itself, and, where the run is to end, for that.
    const rests = (verb) =>
        asked.has(verb) || (verb !== 'discard' && [...asked.keys()].some((ordered) => ordered in ENDING));

    function ask(button) {
        if (button.dataset.verb === 'discard' && !sure(button)) return;
        status.order(button.dataset.verb);
    }

    // Ask the run that is shown for something; its button rests until it is done.
    status.order = async function (verb) {
        const run = sdtune.view.run;
        if (!run) return;
        asked.delete(verb);
        asked.set(verb, {run: run.id, before: progressOf(run), at: Date.now()});
        buttons(run, sdtune.isOn(run));
        try {
            const path = 'runs/' + encodeURIComponent(run.id) + '/' + (PATHS[verb] || verb);
            await (['resume', 'retry'].includes(verb) ? sdtune.goOn(run.id, verb) : sdtune.call(path, 'POST'));
            status.say('');
        } catch (problem) {
            asked.delete(verb);
            status.say(problem.message, problem.remedy);
        }
        sdtune.refresh();
    };

    // Changes as soon as the run has done what it was asked for, or ended.
    const progressOf = (run) =>
        JSON.stringify([run.state, (run.samples || []).length, (run.artefacts || []).length, Boolean(run.waiting)]);

    function promise(run) {
        for (const [verb, order] of asked) {
            const over = Date.now() - order.at > PATIENCE;
            if (over || order.run !== run.id || order.before !== progressOf(run)) asked.delete(verb);
        }
        const latest = [...asked.keys()].pop();
        return PROMISES[latest] ? t(PROMISES[latest]) : '';
    }

    // Two clicks for what cannot be undone; the question goes away by itself.
    // The second click of a double click is no answer. question: where there is more to say than that.
    const sure = (sdtune.sure = function (button, question) {
        if (Date.now() - button.dataset.asked < DOUBLE_CLICK) return false;
        if (button.dataset.asked) {
            delete button.dataset.asked;
            button.textContent = button.dataset.label;
            return true;
        }
        button.dataset.asked = Date.now();
        button.dataset.label = button.textContent;
        button.textContent = question || t('Really? Click again');
        setTimeout(() => {
            if (button.dataset.asked) sure(button);
        }, 4000);
        return false;
    });

    // remedy: an element with which a person can mend what the text says.
    status.say = (text, remedy) => {
        sdtune.text('sdtune_offline', text);
        sdtune.show('sdtune_offline', text);
        byId('sdtune_remedy').replaceChildren(...(remedy ? [remedy] : []));
    };

    status.offline = function (problem) {
        const unreachable = problem instanceof TypeError;
        if (!unreachable || sdtune.view.failures > 1) {
            status.say(
                unreachable
                    ? t('No answer from the server; trying again. A run does not need this page.')
                    : problem.message,
            );
            status.lost = true;
        }
    };

    status.welcome = function () {
        back();
        sdtune.text('sdtune_title', t('Welcome'));
        sdtune.text(
            'sdtune_subtitle',
            t(
                'Name what you want to teach, point to a folder with ten or more pictures of it, and press Start. ' +
                    'How the training goes, and pictures made on the way, will show here.',
            ),
        );
        for (const id of [
            'sdtune_state',
            'sdtune_live',
            'sdtune_controls',
            'sdtune_failure',
            'sdtune_done',
            'sdtune_loss_plot',
            'sdtune_gallery',
            'sdtune_board',
            'sdtune_choice',
        ]) {
            sdtune.show(id, false);
        }
    };

    function back() {
        if (status.lost) status.say('');
        status.lost = false;
    }

    status.draw = function (run) {
        back();
        sdtune.announceRun(run);
        const on = sdtune.isOn(run);
        sdtune.text('sdtune_title', run.id);
        sdtune.text('sdtune_state', sdtune.stateOf(run));
        byId('sdtune_state').className = 'sdtune-chip sdtune-is-' + run.state;
        sdtune.show('sdtune_state', true);
        sdtune.text(
            'sdtune_subtitle',
            [t(sdtune.method(run.method).title), ...model(run, on)].filter(Boolean).join(' · '),
        );
        sdtune.show('sdtune_live', true);
        progress(run);
        sdtune.text('sdtune_pace', pace(run));
        sdtune.text('sdtune_notes', (run.notes || []).join('\n'));
        sdtune.show('sdtune_notes', (run.notes || []).length > 0);
        buttons(run, on);
        const next = sdtune.view.next;
        sdtune.show('sdtune_next', next);
        sdtune.text('sdtune_next_text', next ? meanwhile(next, on) : '');
    };

    // What is said of the run that is on while another one is shown, which ended or waits.
    function meanwhile(next, waits) {
        if (!waits) return t('{name} has begun meanwhile.', {name: next.id});
        const values = {name: next.id, n: next.step, all: next.total_steps};
        if (next.state === 'paused') return t('{name} is paused, step {n} / {all}', values);
        return next.total_steps ? t('{name} is training, step {n} / {all}', values) : t('{name} is on.', values);
    }

    // What is trained: what the run says, else what its settings say, else what is loaded while it is on.
    function model(run, on) {
        const about = sdtune.view.about || {};
        const checkpoint = ((sdtune.view.config || {}).model || {}).checkpoint;
        return run.model || checkpoint ? [run.model || checkpoint, run.family] : on ? [about.model, about.family] : [];
    }

    function progress(run) {
        const phase = run.state === 'preparing' && run.phase_total;
        const done = phase ? run.phase_done / run.phase_total : run.total_steps ? run.step / run.total_steps : 0;
        const percent = Math.min(100, Math.max(0, done * 100));
        const bar = byId('sdtune_progress');
        bar.firstElementChild.style.width = percent + '%';
        bar.setAttribute('aria-valuenow', percent.toFixed(0));
        bar.classList.toggle('sdtune-busy', run.state === 'preparing' && !phase);
        bar.classList.toggle('sdtune-complete', run.state === 'finished');
        bar.classList.toggle('sdtune-resting', !['training', 'preparing'].includes(run.state));
        sdtune.text(
            'sdtune_steps',
            run.phase ? preparing(run) : run.total_steps ? steps(run) : run.message || sdtune.stateOf(run),
        );
        sdtune.text('sdtune_percent', run.total_steps || phase ? percent.toFixed(0) + ' %' : '');
    }

    function preparing(run) {
        return t(run.phase) + (run.phase_total ? ` ${run.phase_done} / ${run.phase_total}` : ' …');
    }

    function steps(run) {
        const step = t('step {n} / {all}', {n: run.step, all: run.total_steps});
        const epoch = run.epochs
            ? t('epoch {n} of {all}', {n: run.epoch, all: run.epochs})
            : t('epoch {n}', {n: run.epoch});
        return run.epoch ? `${step} · ${epoch}` : step;
    }

    function pace(run) {
        const parts = [];
        if (run.seconds_per_step) parts.push(t('{n} s/step', {n: run.seconds_per_step.toPrecision(2)}));
        if (
            sdtune.isOn(run) &&
            run.eta_seconds !== null &&
            run.eta_seconds !== undefined &&
            run.state !== 'preparing'
        ) {
            parts.push(t('{time} left', {time: sdtune.duration(run.eta_seconds)}));
        }
        if (!sdtune.isOn(run) && run.elapsed_seconds)
            parts.push(t('took {time}', {time: sdtune.duration(run.elapsed_seconds)}));
        const shares = Object.entries(run.shares || {}).map(([what, share]) => `${t(SHARES[what] || what)} ${share} %`);
        if (shares.length) parts.push(t('of the time: {list}', {list: shares.join(', ')}));
        if (typeof run.loss === 'number') parts.push(t('loss {n}', {n: run.loss.toPrecision(3)}));
        if (sdtune.isOn(run)) parts.push(run.state === 'preparing' ? run.drawing : message(run));
        return parts.filter(Boolean).join(' · ');
    }

    function message(run) {
        if (run.waiting) return t('waiting for a generation');
        return run.state === 'queued' ? waits(run) : run.message || '';
    }

    const waits = (run) =>
        run.place > 1
            ? t('place {n} of {all} in the queue', {n: run.place, all: run.waiting_runs})
            : t('next in the queue');

    function buttons(run, on) {
        sdtune.returnFocus(byId('sdtune_controls'), () => draw(run, on), SUCCESSORS, byId('sdtune_status'));
    }

    function draw(run, on) {
        const resumable = !on && run.resumable;
        sdtune.show('sdtune_controls', on || resumable);
        for (const id of ['sdtune_stop', 'sdtune_discard']) sdtune.show(id, on && run.state !== 'queued');
        sdtune.show('sdtune_cancel', run.state === 'queued');
        for (const id of ['sdtune_sample', 'sdtune_save']) sdtune.show(id, on && run.state !== 'queued');
        sdtune.show('sdtune_pause', on && run.state !== 'paused' && run.state !== 'queued');
        sdtune.show('sdtune_resume', run.state === 'paused' || resumable);
        const promised = promise(run);
        sdtune.text('sdtune_promise', promised);
        sdtune.show('sdtune_promise', promised !== '');
        sdtune.text('sdtune_recipe', run.recipe || '');
        sdtune.show('sdtune_recipe', !!run.recipe);
        for (const verb of ['stop', 'discard', 'cancel', 'pause', 'resume'])
            byId('sdtune_' + verb).disabled = rests(verb);
        for (const verb of ['sample', 'save'])
            byId('sdtune_' + verb).disabled = rests(verb) || run.state !== 'training';
    }
})(window.sdtune);
