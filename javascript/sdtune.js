// SD Tune in the browser: watches a run through the API and draws it.
// Nothing here can harm a run; closing the page changes nothing.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const LOCKED = "SD Tune needs the API's password here; reload the page to be asked for it again.";
    const PATIENCE = 20000; // milliseconds that a question may take; orders, such as saving, may take longer
    const ON = ['queued', 'preparing', 'training', 'paused'];
    const view = (sdtune.view = {run: null, rows: [], chosen: null, runs: [], failures: 0, listed: 0});

    sdtune.byId = (id) => document.getElementById(id);
    sdtune.isOn = (run) => Boolean(run) && ON.includes(run.state);

    // An element with text, never markup: el('b', {class: 'x'}, 'text', child).
    sdtune.el = function (tag, attributes, ...children) {
        const svg = ['svg', 'path', 'g', 'line', 'circle', 'text', 'rect', 'defs', 'clipPath', 'polyline'].includes(
            tag,
        );
        const element = svg ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
        for (const [name, value] of Object.entries(attributes || {})) {
            if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
            else if (value !== null && value !== undefined && value !== false)
                element.setAttribute(
                    name,
                    value === true ? '' : name === 'title' && isKnown(value) ? '\u2060' + value : value,
                );
        }
        element.append(
            ...untranslated(children.filter((child) => child !== null && child !== undefined && child !== false)),
        );
        return element;
    };

    const isKnown = (text) => Object.prototype.hasOwnProperty.call(window.localization || {}, String(text).trim());

    // The WebUI translates every text of the page that is in its table, also a tag or a file called "Name". What is
    // drawn here went through `t` where it is ours, and is the user's where it did not: so such a text is given in two
    // pieces that the table does not have, or behind a sign that nobody sees.
    function untranslated(children) {
        return children.flatMap((child) => {
            const text = typeof child === 'number' ? String(child) : child;
            if (typeof text !== 'string' || !isKnown(text)) return [child];
            const letters = [...text];
            for (let at = 1; at < letters.length; at++) {
                const pieces = [letters.slice(0, at).join(''), letters.slice(at).join('')];
                if (!pieces.some(isKnown)) return pieces;
            }
            return ['\u2060' + text];
        });
    }

    // Set only what differs, so that nothing flickers and a selection survives.
    sdtune.text = function (id, text) {
        const element = typeof id === 'string' ? sdtune.byId(id) : id;
        if (element && element.dataset.text !== text) {
            element.dataset.text = text;
            element.replaceChildren(...untranslated([text]));
        }
    };
    sdtune.show = (id, visible) => {
        const element = typeof id === 'string' ? sdtune.byId(id) : id;
        if (element && element.hidden === Boolean(visible)) element.hidden = !visible;
    };

    // "16:05", of seconds since 1970, on the clock that the log and the server's sentences have.
    sdtune.clock = (seconds) =>
        new Date(seconds * 1000).toLocaleTimeString([], {hour: '2-digit', minute: '2-digit', hourCycle: 'h23'});

    // A page of the tab is drawn when it is first seen, and brought up to date whenever it is.
    sdtune.whenSeen = function (id, frame, update) {
        const root = sdtune.byId(id);
        if (!root) return setTimeout(() => sdtune.whenSeen(id, frame, update), 500);
        if (root.dataset.begun) return;
        root.dataset.begun = '1';
        new IntersectionObserver((entries) => {
            if (!entries.some((entry) => entry.isIntersecting)) return;
            if (!root.firstChild) frame(root);
            update();
        }).observe(root);
    };

    // The WebUI's translations, or the browser's language where the tab stands alone.
    sdtune.t = function (text, values) {
        const table = window.localization || {};
        const translated = Object.prototype.hasOwnProperty.call(table, text) ? table[text] : text;
        return translated.replace(/\{(\w+)\}/g, (all, name) => (values && name in values ? values[name] : all));
    };

    const panel = () => sdtune.byId('sdtune_panel');
    sdtune.url = (path) => './sdtune/v1/' + path;
    sdtune.imageUrl = (id, file) =>
        sdtune.url('runs/' + encodeURIComponent(id) + '/samples/' + encodeURIComponent(file));

    // A call goes with the page's own login: its session, or the API's password, for which the browser asks. Who sends
    // that question away is not asked again at every poll.
    let refused = false;
    sdtune.call = async function (path, method, body) {
        if (refused) throw Object.assign(new Error(sdtune.t(LOCKED)), {status: 401});
        const answer = await fetch(sdtune.url(path), {
            method: method || 'GET',
            credentials: 'same-origin',
            signal: method ? undefined : AbortSignal.timeout(window.sdtune_timeout || PATIENCE),
            cache: 'no-store',
            body: body === undefined ? undefined : JSON.stringify(body),
        });
        refused = answer.status === 401;
        const kind = answer.headers.get('content-type') || '';
        const content = kind.includes('json') ? await answer.json() : await answer.text();
        const plain = content && content.detail;
        sdtune.spoken(content, path);
        if (!answer.ok) throw Object.assign(new Error(detail(content, answer)), {status: answer.status, plain});
        return content;
    };

    function detail(body, answer) {
        const sentence = body && body.detail;
        return typeof sentence === 'string'
            ? sentence
            : sdtune.t('The server answered {status}.', {status: answer.status});
    }

    // Watching

    const visible = () => document.visibilityState === 'visible' && panel() && panel().offsetParent !== null;

    async function tick() {
        const running = sdtune.isOn(view.run);
        if (visible() || (running && view.failures === 0)) {
            try {
                await refresh();
                view.failures = 0;
            } catch (problem) {
                view.failures += 1;
                sdtune.status.offline(problem);
            }
        }
        const wait = !visible() ? 4000 : sdtune.isOn(view.run) ? 1000 : 3000;
        setTimeout(tick, Math.min(5000, wait * Math.max(1, view.failures)));
    }

    // One look at a time: two at once would draw the same rows twice.
    let refreshing = Promise.resolve();
    const refresh = () => (refreshing = refreshing.catch(() => {}).then(refreshOnce));

    async function refreshOnce() {
        const stale = Date.now() - view.listed > 10000 || !sdtune.isOn(view.run) || view.next;
        if (stale) {
            view.runs = await sdtune.call('runs');
            view.listed = Date.now();
            if (!view.runs.length) sdtune.runs.draw(view.runs);
        }
        const id = choose();
        if (!id) return sdtune.status.welcome();
        await watch(id);
    }

    // The run that the user picked, else the one that is on, else the latest. One that ended while it was shown stays
    // until its card was looked at: `next` says which one has begun since, or is on while one that waits is shown.
    function choose() {
        const running =
            view.runs.find((run) => sdtune.isOn(run) && run.state !== 'queued') || view.runs.find(sdtune.isOn);
        const shown = view.run && view.runs.find((run) => run.id === view.run.id);
        if (running && view.on !== running.id && view.on && shown && shown.id === view.on) view.chosen = view.on;
        view.on = running ? running.id : null;
        const chosen = view.runs.find((run) => run.id === view.chosen);
        const rests = chosen && (!sdtune.isOn(chosen) || chosen.state === 'queued');
        view.next = rests && running && running.state !== 'queued' && chosen !== running ? running : null;
        if (chosen) return chosen.id;
        return running ? running.id : view.runs.length ? sdtune.newest(view.runs).id : null;
    }

    sdtune.newest = (runs) =>
        runs.reduce((best, run) => ((run.updated || 0) >= (best.updated || 0) ? run : best), runs[0]);

    async function watch(id) {
        const before = view.run;
        const run = await sdtune.call('runs/' + encodeURIComponent(id));
        if (!before || before.id !== run.id) view.rows = [];
        if (!view.config || view.config.name !== run.id)
            view.config = await sdtune.call('runs/' + encodeURIComponent(id) + '/config').catch(() => null);
        const last = view.rows.length ? view.rows[view.rows.length - 1].step : 0;
        if (run.step < last) view.rows = [];
        if (!view.rows.length || run.step > last) {
            const fresh = await sdtune.call(
                'runs/' + encodeURIComponent(id) + '/log?since=' + (view.rows.length ? last : 0),
            );
            view.rows = view.rows.concat(fresh.filter((row) => !view.rows.length || row.step > last));
        }
        if (before && before.id === run.id && before.state !== run.state) view.listed = 0;
        view.run = run;
        view.runs = view.runs.map((listed) => (listed.id === run.id ? {...listed, ...run} : listed));
        draw();
    }

    function draw() {
        sdtune.status.draw(view.run);
        sdtune.result.draw(view.run);
        sdtune.plot.draw(view.rows, view.run);
        sdtune.gallery.draw(view.run);
        sdtune.imageLoss.draw(view.run);
        sdtune.evaluation.draw(view.run);
        sdtune.runs.draw(view.runs);
    }

    sdtune.refresh = () => {
        view.listed = 0;
        return refresh().catch(sdtune.status.offline);
    };

    sdtune.choose = function (id) {
        view.chosen = id;
        sdtune.refresh();
        const card = sdtune.byId('sdtune_status');
        const {top, bottom} = card.getBoundingClientRect();
        if (bottom < 0 || top > window.innerHeight) card.scrollIntoView({behavior: 'smooth', block: 'center'});
    };

    // Called when Start was pressed: the id of the new run, or '' when it was refused.
    sdtune.started = (id) => {
        if (id) sdtune.choose(id);
    };

    function opened() {
        sdtune.refresh();
        sdtune.classPictures.refresh();
        sdtune.memory.refresh();
        sdtune.memory.estimate();
        about();
    }

    // Which model is trained; asked again while the tab is seen, because it is changed above the tab.
    let asking = null;
    async function about() {
        clearTimeout(asking);
        try {
            const before = view.about;
            view.about = await sdtune.call('');
            sdtune.form.about(view.about);
            sdtune.drawDeferredSettings(view.about);
            followCheckpoint(before, view.about);
        } catch (problem) {
            // the status card says that the server does not answer
        }
        if (visible()) asking = setTimeout(about, 3000);
    }

    // The WebUI's drop-down still shows another checkpoint when one was loaded without it: after a run during which one
    // was asked for, or which held its own while the page was loaded. Where somebody has just chosen one there, it is
    // left alone. A title gets its hash at the end when that is known.
    const withoutHash = (title) => (title || '').replace(/ \[[0-9a-f]+\]$/, '');
    const dropDown = () => document.querySelector('#setting_sd_model_checkpoint input');
    let used = false;
    document.addEventListener('focusin', (event) => event.target === dropDown() && (used = true));

    function followCheckpoint(before, now) {
        const box = dropDown();
        if (!box || !window.selectCheckpoint || (!before && (used || now.on))) return;
        const [old, current] = before ? [before.title, now.title] : [box.value, now.selected];
        const shown = withoutHash(box.value);
        if (current && withoutHash(old) === shown && withoutHash(current) !== shown) window.selectCheckpoint(current);
    }

    function begin() {
        if (!panel()) return setTimeout(begin, 200);
        if (panel().dataset.begun) return;
        panel().dataset.begun = '1';
        sdtune.sayAloud(panel());
        sdtune.form.begin();
        sdtune.changedFields.begin();
        sdtune.status.begin();
        sdtune.anyFiles.begin();
        new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && opened()).observe(
            panel(),
        );
        tick();
    }
    document.readyState === 'loading' ? document.addEventListener('DOMContentLoaded', begin) : begin();
})(window.sdtune);
