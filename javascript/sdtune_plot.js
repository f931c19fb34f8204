// The loss plot: raw faint, smoothed bold, learning rate dashed on the right-hand axis, measurements as dots.
window.sdtune = window.sdtune || {};

(function(sdtune) {
    const plot = sdtune.plot = {};
    const HEIGHT = 232;
    const EDGE = {left: 52, right: 52, top: 14, bottom: 24};
    const MEASURED = {val_loss: 'aside', fit_loss: 'trained', class_loss: 'class'};
    let drawn = {rows: null, width: 0};
    let marker = null;

    const NOTE = () => sdtune.t('The loss jumps with every picture and says little by itself; the samples below say more.');

    plot.draw = function(rows, run) {
        const figure = sdtune.byId('sdtune_loss_plot');
        const points = rows.filter((row) => Number.isFinite(row.loss));
        sdtune.show(figure, sdtune.isOn(run) || points.length > 1);
        if (figure.hidden) return;
        if (!figure.firstChild) frame(figure);
        const width = Math.max(260, figure.querySelector('.sdtune-plot').clientWidth);
        const said = run.validation || {};
        sdtune.text('sdtune_plot_note', [said.sentence, said.forgetting].filter(Boolean).join(' ') || NOTE());
        if (drawn.length === rows.length && drawn.id === run.id && drawn.width === width && drawn.total === run.total_steps) return;
        drawn = {length: rows.length, id: run.id, width, total: run.total_steps, points, rows, smooth: smoothed(points)};
        paint(figure, width, run);
    };

    function frame(figure) {
        const {el, t} = sdtune;
        const key = (kind, text) => el('span', {class: 'sdtune-key sdtune-key-' + kind}, t(text));
        figure.append(
            el('figcaption', {}, el('h4', {}, t('Loss')), el('div', {class: 'sdtune-keys'}, key('smooth', 'smoothed'), key('raw', 'each step'),
                key('rate', 'learning rate'), key('aside', 'pictures kept aside'), key('trained', 'trained pictures'), key('class', 'class pictures'))),
            el('div', {class: 'sdtune-plot'}),
            el('p', {class: 'sdtune-soft', id: 'sdtune_plot_note'}));
        new ResizeObserver(() => sdtune.view.run && plot.draw(sdtune.view.rows, sdtune.view.run)).observe(figure);
    }

    // Exponential mean without the pull of its start; the window grows with the run.
    function smoothed(points) {
        const keep = 1 - 1 / Math.max(6, Math.min(100, points.length / 12));
        let sum = 0, weight = 0;
        return points.map((row) => {
            sum = keep * sum + (1 - keep) * row.loss;
            weight = keep * weight + (1 - keep);
            return sum / weight;
        });
    }

    function paint(figure, width, run) {
        const {el} = sdtune;
        const {points, smooth} = drawn;
        const inner = {w: width - EDGE.left - EDGE.right, h: HEIGHT - EDGE.top - EDGE.bottom};
        const checks = Object.keys(MEASURED).map((name) => [MEASURED[name], drawn.rows.filter((row) => Number.isFinite(row[name]))
            .map((row) => [row.step, row[name]])]);
        const measured = checks.flatMap(([, points]) => points.map(([, value]) => value));
        const end = shownSteps(run.total_steps || 0, points.length ? points[points.length - 1].step : 0);
        const [low, high] = range(points.map((row) => row.loss), smooth, measured);
        const x = (step) => EDGE.left + inner.w * step / end;
        const y = (loss) => EDGE.top + inner.h * (1 - (loss - low) / (high - low));
        const rates = points.map((row) => rate(row));
        const top = Math.max(0, ...rates.filter(Number.isFinite));
        const svg = el('svg', {viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: 'img', 'aria-label': sdtune.t('Loss by step')},
            el('defs', {}, el('clipPath', {id: 'sdtune_clip'}, el('rect', {x: EDGE.left, y: EDGE.top, width: inner.w, height: inner.h}))));
        grid(svg, {low, high, end, top, width, x, y, inner});
        const area = el('g', {'clip-path': 'url(#sdtune_clip)'});
        area.append(el('path', {class: 'sdtune-raw', d: line(thin(points, inner.w, (row) => row.loss), x, y)}));
        if (top > 0) {
            const ry = (value) => EDGE.top + inner.h * (1 - value / (top * 1.06));
            area.append(el('path', {class: 'sdtune-rate', d: line(thin(points, inner.w, rate), x, ry)}));
        }
        const bold = points.map((row, i) => ({step: row.step, value: smooth[i]}));
        area.append(el('path', {class: 'sdtune-smooth', d: line(thin(bold, inner.w / 2, (row) => row.value), x, y)}));
        for (const [kind, dots] of checks) {
            area.append(el('path', {class: 'sdtune-line-' + kind, d: line(dots, x, y)}),
                ...dots.map(([step, value]) => el('circle', {class: 'sdtune-dot-' + kind, cx: x(step), cy: y(value), r: dots.length > 60 ? 2 : 3.5})));
        }
        svg.append(area);
        turning(svg, run.validation, x, inner);
        hover(svg, {x, y, width, inner, end});
        figure.querySelector('.sdtune-plot').replaceChildren(svg);
        for (const [kind, dots] of checks) sdtune.show(figure.querySelector('.sdtune-key-' + kind), dots.length);
        sdtune.show(figure.querySelector('.sdtune-key-rate'), top > 0);
    }

    // Where learning turned into something else, as the server sees it.
    function turning(svg, said, x, inner) {
        if (!said || !said.step) return;
        svg.append(sdtune.el('line', {class: 'sdtune-turning', x1: x(said.step), x2: x(said.step), y1: EDGE.top, y2: EDGE.top + inner.h}));
    }

    function rate(row) {
        if (Number.isFinite(row.lr)) return row.lr;
        const name = Object.keys(row).find((key) => key.startsWith('lr') && Number.isFinite(row[key]));
        return name ? row[name] : NaN;
    }

    // Limits that single outliers do not stretch.
    function range(raw, smooth, checks) {
        const sorted = raw.slice().sort((a, b) => a - b);
        const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
        if (!sorted.length) return [0, 1];
        const all = [at(0.01), at(0.985), ...checks, Math.min(...smooth.slice(-4000)), Math.max(...smooth.slice(-4000))];
        const low = Math.min(...all), high = Math.max(...all);
        const flat = high - low < 1e-6 * Math.abs(high); // one step, or rounding: axes need room to count in
        const air = flat ? Math.abs(high) * 0.1 || 1 : (high - low) * 0.06;
        return [Math.max(0, low - air), high + air];
    }

    // At most two points (lowest, highest) a pixel column.
    function thin(rows, columns, value) {
        const good = rows.filter((row) => Number.isFinite(value(row)));
        const size = Math.ceil(good.length / Math.max(1, columns));
        if (size <= 2) return good.map((row) => [row.step, value(row)]);
        const kept = [];
        for (let i = 0; i < good.length; i += size) {
            const part = good.slice(i, i + size).sort((a, b) => value(a) - value(b));
            for (const row of [part[0], part[part.length - 1]].sort((a, b) => a.step - b.step)) kept.push([row.step, value(row)]);
        }
        return kept;
    }

    const line = (points, x, y) => points.map(([step, value], i) => `${i ? 'L' : 'M'}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join('');

    // All steps, or the half, the quarter and so on that holds the curve: its beginning can be read, and the axis seldom changes.
    function shownSteps(total, last) {
        let end = Math.max(2, total, last);
        while (end / 2 >= Math.max(20, last)) end /= 2;
        return end;
    }

    function ticks(low, high, count) {
        const rough = (high - low) / count;
        const power = Math.pow(10, Math.floor(Math.log10(rough)));
        const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
        const found = [];
        for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(value);
        return found;
    }

    const short = (value) => value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(1).replace('.0', '') : String(Number(value.toPrecision(3)));

    function grid(svg, {low, high, end, top, width, x, y, inner}) {
        const {el} = sdtune;
        for (const value of ticks(low, high, 4)) {
            svg.append(el('line', {class: 'sdtune-grid-line', x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value)}),
                el('text', {class: 'sdtune-tick', x: EDGE.left - 8, y: y(value) + 4, 'text-anchor': 'end'}, short(value)));
        }
        for (const value of ticks(0, end, Math.max(2, Math.floor(inner.w / 90)))) {
            svg.append(el('text', {class: 'sdtune-tick', x: x(value), y: HEIGHT - 6, 'text-anchor': 'middle'}, String(Math.round(value))));
        }
        if (top > 0) {
            for (const share of [0, 0.5, 1]) {
                svg.append(el('text', {class: 'sdtune-tick sdtune-tick-rate', x: width - EDGE.right + 8, y: EDGE.top + inner.h * (1 - share / 1.06) + 4}, short(top * share)));
            }
        }
    }

    // What stands under the pointer.
    function hover(svg, {x, y, width, inner, end}) {
        const {el} = sdtune;
        const group = el('g', {class: 'sdtune-hover'});
        svg.append(group);
        const mark = () => {
            group.replaceChildren();
            if (marker === null || !drawn.points.length) return;
            const i = nearest(drawn.points, marker);
            const row = drawn.points[i];
            const words = [sdtune.t('step {n}', {n: row.step}), sdtune.t('loss {n}', {n: drawn.smooth[i].toPrecision(3)})];
            if (Number.isFinite(rate(row))) words.push(sdtune.t('rate {n}', {n: short(rate(row))}));
            const right = x(row.step) > width / 2;
            group.append(el('line', {x1: x(row.step), x2: x(row.step), y1: EDGE.top, y2: EDGE.top + inner.h}),
                el('circle', {cx: x(row.step), cy: y(drawn.smooth[i]), r: 4}),
                el('text', {x: x(row.step) + (right ? -8 : 8), y: EDGE.top + 12, 'text-anchor': right ? 'end' : 'start'}, words.join(' · ')));
        };
        svg.addEventListener('pointermove', (event) => {
            const box = svg.getBoundingClientRect();
            marker = ((event.clientX - box.left) * width / box.width - EDGE.left) / inner.w * end;
            mark();
        });
        svg.addEventListener('pointerleave', () => {
            marker = null;
            mark();
        });
        mark();
    }

    function nearest(points, step) {
        let low = 0, high = points.length - 1;
        while (high - low > 1) {
            const middle = (low + high) >> 1;
            points[middle].step < step ? low = middle : high = middle;
        }
        return Math.abs(points[low].step - step) < Math.abs(points[high].step - step) ? low : high;
    }
})(window.sdtune);
