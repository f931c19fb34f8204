// The arithmetic of the loss plot: smoothing, limits, ticks, and few enough points to draw.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const scale = (sdtune.plotScale = sdtune.plotScale || {});

    // Exponential mean without the pull of its start; the window grows with the run.
    scale.smoothed = function (points) {
        const keep = 1 - 1 / Math.max(6, Math.min(100, points.length / 12));
        let sum = 0;
        let weight = 0;
        return points.map((row) => {
            sum = keep * sum + (1 - keep) * row.loss;
            weight = keep * weight + (1 - keep);
            return sum / weight;
        });
    };

    scale.rate = function (row) {
        if (Number.isFinite(row.lr)) return row.lr;
        const name = Object.keys(row).find((key) => key.startsWith('lr') && Number.isFinite(row[key]));
        return name ? row[name] : NaN;
    };

    // Limits that single outliers do not stretch.
    scale.range = function (raw, smooth, checks) {
        const sorted = raw.slice().sort((a, b) => a - b);
        const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
        if (!sorted.length) return [0, 1];
        const all = [
            at(0.01),
            at(0.985),
            ...checks,
            Math.min(...smooth.slice(-4000)),
            Math.max(...smooth.slice(-4000)),
        ];
        const low = Math.min(...all);
        const high = Math.max(...all);
        const flat = high - low < 1e-6 * Math.abs(high); // one step, or rounding: axes need room to count in
        const air = flat ? Math.abs(high) * 0.1 || 1 : (high - low) * 0.06;
        return [Math.max(0, low - air), high + air];
    };

    // At most two points (lowest, highest) a pixel column.
    scale.thin = function (rows, columns, value) {
        const good = rows.filter((row) => Number.isFinite(value(row)));
        const size = Math.ceil(good.length / Math.max(1, columns));
        if (size <= 2) return good.map((row) => [row.step, value(row)]);
        const points = [];
        for (let i = 0; i < good.length; i += size) {
            const part = good.slice(i, i + size).sort((a, b) => value(a) - value(b));
            for (const row of [part[0], part[part.length - 1]].sort((a, b) => a.step - b.step))
                points.push([row.step, value(row)]);
        }
        return points;
    };

    scale.line = (points, x, y) =>
        points.map(([step, value], i) => `${i ? 'L' : 'M'}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join('');

    // All steps, or the half, the quarter and so on that holds the curve: its beginning can be read,
    // and the axis seldom changes.
    scale.shownSteps = function (total, last) {
        let end = Math.max(2, total, last);
        while (end / 2 >= Math.max(20, last)) end /= 2;
        return end;
    };

    // whole: of what there are no parts.
    scale.ticks = function (low, high, count, whole) {
        const rough = whole ? Math.max(1, (high - low) / count) : (high - low) / count;
        const power = Math.pow(10, Math.floor(Math.log10(rough)));
        const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
        const values = [];
        for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) values.push(value);
        return values;
    };

    scale.short = (value) =>
        value !== 0 && Math.abs(value) < 0.001
            ? value.toExponential(1).replace('.0', '')
            : String(Number(value.toPrecision(3)));

    scale.nearest = function (points, step) {
        let low = 0;
        let high = points.length - 1;
        while (high - low > 1) {
            const middle = (low + high) >> 1;
            points[middle].step < step ? (low = middle) : (high = middle);
        }
        return Math.abs(points[low].step - step) < Math.abs(points[high].step - step) ? low : high;
    };
})(window.sdtune);
