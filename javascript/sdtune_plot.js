// The loss plot: raw faint, smoothed bold, learning rate dashed on the right-hand axis, measurements as dots.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const plot = (sdtune.plot = {});
    const HEIGHT = 232;
    const scale = (sdtune.plotScale = sdtune.plotScale || {});
    const EDGE = {left: 52, right: 52, top: 14, bottom: 24};
    const MEASURED = {val_loss: 'aside', fit_loss: 'trained', class_loss: 'class'};
    let drawn = {rows: null, width: 0};
    let marker = null;

    const NOTE = () => sdtune.t('The loss jumps with every picture and says little by itself; samples say more.');

    plot.draw = function (rows, run) {
        const figure = sdtune.byId('sdtune_loss_plot');
        const points = rows.filter((row) => Number.isFinite(row.loss));
        sdtune.show(figure, points.length > (sdtune.isOn(run) ? 0 : 1)); // axes alone would say nothing
        if (figure.hidden) return;
        if (!figure.firstChild) frame(figure);
        const width = Math.max(260, figure.querySelector('.sdtune-plot').clientWidth);
        const validation = run.validation || {};
        sdtune.text(
            'sdtune_plot_note',
            [validation.sentence, validation.forgetting].filter(Boolean).join(' ') || NOTE(),
        );
        const same =
            drawn.length === rows.length &&
            drawn.id === run.id &&
            drawn.width === width &&
            drawn.total === run.total_steps;
        if (same) return;
        drawn = {
            length: rows.length,
            id: run.id,
            width,
            total: run.total_steps,
            points,
            rows,
            smooth: scale.smoothed(points),
        };
        paint(figure, width, run);
    };

    function frame(figure) {
        const {el, t} = sdtune;
        const key = (kind, text) => el('span', {class: 'sdtune-key sdtune-key-' + kind}, t(text));
        figure.append(
            el(
                'figcaption',
                {},
                el('h4', {}, t('Loss')),
                el(
                    'div',
                    {class: 'sdtune-keys'},
                    key('smooth', 'smoothed'),
                    key('raw', 'each step'),
                    key('rate', 'learning rate'),
                    key('aside', 'pictures kept aside'),
                    key('trained', 'trained pictures'),
                    key('class', 'class pictures'),
                ),
            ),
            el('div', {class: 'sdtune-plot'}),
            el('p', {class: 'sdtune-soft', id: 'sdtune_plot_note'}),
        );
        new ResizeObserver(() => sdtune.view.run && plot.draw(sdtune.view.rows, sdtune.view.run)).observe(figure);
    }

    function paint(figure, width, run) {
        const {el} = sdtune;
        const {points, smooth} = drawn;
        const inner = {w: width - EDGE.left - EDGE.right, h: HEIGHT - EDGE.top - EDGE.bottom};
        const checks = Object.keys(MEASURED).map((name) => [
            MEASURED[name],
            drawn.rows.filter((row) => Number.isFinite(row[name])).map((row) => [row.step, row[name]]),
        ]);
        const measured = checks.flatMap(([, dots]) => dots.map(([, value]) => value));
        const end = scale.shownSteps(run.total_steps || 0, points.length ? points[points.length - 1].step : 0);
        const [low, high] = scale.range(
            points.map((row) => row.loss),
            smooth,
            measured,
        );
        const x = (step) => EDGE.left + (inner.w * step) / end;
        const y = (loss) => EDGE.top + inner.h * (1 - (loss - low) / (high - low));
        const rates = points.map((row) => scale.rate(row));
        const top = Math.max(0, ...rates.filter(Number.isFinite));
        const svg = el(
            'svg',
            {
                viewBox: `0 0 ${width} ${HEIGHT}`,
                width,
                height: HEIGHT,
                role: 'img',
                'aria-label': sdtune.t('Loss by step'),
            },
            el(
                'defs',
                {},
                el(
                    'clipPath',
                    {id: 'sdtune_clip'},
                    el('rect', {x: EDGE.left, y: EDGE.top, width: inner.w, height: inner.h}),
                ),
            ),
        );
        grid(svg, {low, high, end, top, width, x, y, inner});
        const area = el('g', {'clip-path': 'url(#sdtune_clip)'});
        area.append(
            el('path', {
                class: 'sdtune-raw',
                d: scale.line(
                    scale.thin(points, inner.w, (row) => row.loss),
                    x,
                    y,
                ),
            }),
        );
        if (top > 0) {
            const ry = (value) => EDGE.top + inner.h * (1 - value / (top * 1.06));
            area.append(
                el('path', {class: 'sdtune-rate', d: scale.line(scale.thin(points, inner.w, scale.rate), x, ry)}),
            );
        }
        const bold = points.map((row, i) => ({step: row.step, value: smooth[i]}));
        area.append(
            el('path', {
                class: 'sdtune-smooth',
                d: scale.line(
                    scale.thin(bold, inner.w / 2, (row) => row.value),
                    x,
                    y,
                ),
            }),
        );
        for (const [kind, dots] of checks) {
            area.append(
                el('path', {class: 'sdtune-line-' + kind, d: scale.line(dots, x, y)}),
                ...dots.map(([step, value]) =>
                    el('circle', {
                        class: 'sdtune-dot-' + kind,
                        cx: x(step),
                        cy: y(value),
                        r: dots.length > 60 ? 2 : 3.5,
                    }),
                ),
            );
        }
        svg.append(area);
        turning(svg, run.validation, x, inner);
        hover(svg, {x, y, width, inner, end});
        figure.querySelector('.sdtune-plot').replaceChildren(svg);
        for (const [kind, dots] of checks) sdtune.show(figure.querySelector('.sdtune-key-' + kind), dots.length);
        sdtune.show(figure.querySelector('.sdtune-key-rate'), top > 0);
    }

    // Where learning turned into something else, as the server sees it.
    function turning(svg, validation, x, inner) {
        if (!validation || !validation.step) return;
        svg.append(
            sdtune.el('line', {
                class: 'sdtune-turning',
                x1: x(validation.step),
                x2: x(validation.step),
                y1: EDGE.top,
                y2: EDGE.top + inner.h,
            }),
        );
    }

    function grid(svg, {low, high, end, top, width, x, y, inner}) {
        const {el} = sdtune;
        for (const value of scale.ticks(low, high, 4)) {
            svg.append(
                el('line', {
                    class: 'sdtune-grid-line',
                    x1: EDGE.left,
                    x2: width - EDGE.right,
                    y1: y(value),
                    y2: y(value),
                }),
                el(
                    'text',
                    {class: 'sdtune-tick', x: EDGE.left - 8, y: y(value) + 4, 'text-anchor': 'end'},
                    scale.short(value),
                ),
            );
        }
        for (const value of scale.ticks(0, end, Math.max(2, Math.floor(inner.w / 90)), true)) {
            svg.append(
                el(
                    'text',
                    {class: 'sdtune-tick', x: x(value), y: HEIGHT - 6, 'text-anchor': 'middle'},
                    String(Math.round(value)),
                ),
            );
        }
        if (top > 0) {
            for (const share of [0, 0.5, 1]) {
                svg.append(
                    el(
                        'text',
                        {
                            class: 'sdtune-tick sdtune-tick-rate',
                            x: width - EDGE.right + 8,
                            y: EDGE.top + inner.h * (1 - share / 1.06) + 4,
                        },
                        scale.short(top * share),
                    ),
                );
            }
        }
    }

    // What stands under the pointer.
    function hover(svg, {x, y, width, inner, end}) {
        const {el} = sdtune;
        const group = el('g', {class: 'sdtune-hover'});
        svg.append(group);
        const showPoint = () => {
            group.replaceChildren();
            if (marker === null || !drawn.points.length) return;
            const i = scale.nearest(drawn.points, marker);
            const row = drawn.points[i];
            const words = [
                sdtune.t('step {n}', {n: row.step}),
                sdtune.t('loss {n}', {n: drawn.smooth[i].toPrecision(3)}),
            ];
            if (Number.isFinite(scale.rate(row))) words.push(sdtune.t('rate {n}', {n: scale.short(scale.rate(row))}));
            const right = x(row.step) > width / 2;
            group.append(
                el('line', {x1: x(row.step), x2: x(row.step), y1: EDGE.top, y2: EDGE.top + inner.h}),
                el('circle', {cx: x(row.step), cy: y(drawn.smooth[i]), r: 4}),
                el(
                    'text',
                    {x: x(row.step) + (right ? -8 : 8), y: EDGE.top + 12, 'text-anchor': right ? 'end' : 'start'},
                    words.join(' · '),
                ),
            );
        };
        svg.addEventListener('pointermove', (event) => {
            const box = svg.getBoundingClientRect();
            marker = ((((event.clientX - box.left) * width) / box.width - EDGE.left) / inner.w) * end;
            showPoint();
        });
        svg.addEventListener('pointerleave', () => {
            marker = null;
            showPoint();
        });
        showPoint();
    }
})(window.sdtune);
