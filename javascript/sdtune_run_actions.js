// What can be done with a run of the table: its buttons, and what they ask the server for.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);

    sdtune.runActions = function (run) {
        const {el} = sdtune;
        const {compared} = sdtune.runs;
        const on = sdtune.isOn(run);
        const button = (label, title, act, extra) =>
            el(
                'button',
                {
                    type: 'button',
                    class: 'sdtune-button sdtune-small ' + (extra || ''),
                    'data-act': label,
                    title: t(title),
                    onclick: act,
                },
                t(label),
            );
        return [
            ...queued(run, button),
            !on &&
                run.resumable &&
                button('Resume', 'Go on from the last resume point', () => post(run, 'resume', 'POST')),
            run.cancelled &&
                !run.resumable &&
                button('Retry', 'Put it into the queue again', () => post(run, 'retry', 'POST')),
            button('Show', 'Show this run above', () => sdtune.choose(run.id)),
            !run.problem &&
                button('Use settings', 'Fill the form with the settings of this run', () => sdtune.form.use(run.id)),
            ...(compared ? [against(button, run)] : []),
            !compared &&
                sdtune.view.runs.length > 1 &&
                button('Compare', 'Compare this run with another one, side by side', () => choose(run.id)),
            run.step > 0 &&
                !run.problem &&
                el(
                    'a',
                    {
                        class: 'sdtune-button sdtune-small',
                        href: sdtune.fileUrl(run.id, 'report.html'),
                        target: '_blank',
                        rel: 'noopener',
                        title: t('The run on one page: settings, curves, pictures, versions'),
                    },
                    t('Report'),
                ),
            !on &&
                button(
                    'Delete',
                    'Delete the run folder: samples, log and resume point; the trained files stay',
                    (event) => {
                        if (sdtune.sure(event.currentTarget, leaves(run))) post(run, '', 'DELETE');
                    },
                    'sdtune-quiet',
                ),
        ].filter(Boolean);
    };

    // The question before a run is deleted, which says what is not.
    function leaves({id}) {
        const run = sdtune.view.runs.find((listed) => listed.id === id) || {}; // the row may be older than its files
        const parts = String((run.artefacts || []).slice(-1)).split(/[\\/]/);
        const values = {n: (run.artefacts || []).length, file: parts.pop(), folder: parts.slice(-2).join('/')};
        if (!values.n) return '';
        return values.n === 1
            ? t('Really? {file} stays in {folder}. Click again', values)
            : t('Really? {n} trained files stay in {folder}. Click again', values);
    }

    // What can be done with a run that waits.
    function queued(run, button) {
        if (!run.place) return [];
        const move = (to) => post(run, 'move?to=' + to, 'POST');
        return [
            run.place > 1 && button('Earlier', 'One place nearer in the queue', () => move(run.place - 1)),
            run.place < run.waiting_runs && button('Later', 'One place back in the queue', () => move(run.place + 1)),
            button('Cancel', 'Take it out of the queue', () => post(run, 'stop?save=false', 'POST')),
        ];
    }

    function against(button, run) {
        const {compared} = sdtune.runs;
        if (run.id === compared) return button('Compare nothing', 'Compare nothing', () => choose(''));
        const address = sdtune.url(
            'compare.html?one=' + encodeURIComponent(compared) + '&other=' + encodeURIComponent(run.id),
        );
        return sdtune.el(
            'a',
            {
                class: 'sdtune-button sdtune-small sdtune-strong',
                href: address,
                target: '_blank',
                rel: 'noopener',
                onclick: () => setTimeout(() => choose(''), 0),
            },
            t('With this one'),
        );
    }

    function choose(name) {
        sdtune.runs.compared = name;
        sdtune.runs.drawAnew();
    }

    async function post(run, verb, method) {
        try {
            const path = 'runs/' + encodeURIComponent(run.id) + (verb ? '/' + verb : '');
            const goesOn = ['resume', 'retry'].includes(verb);
            await (goesOn ? sdtune.goOn(run.id, verb) : sdtune.call(path, method));
            if (goesOn) sdtune.view.chosen = run.id;
            sdtune.status.say('');
        } catch (problem) {
            sdtune.status.say(problem.message, problem.remedy);
            if (problem.remedy) sdtune.choose(run.id);
        }
        sdtune.runs.drawAnew();
        sdtune.refresh();
    }
})(window.sdtune);
