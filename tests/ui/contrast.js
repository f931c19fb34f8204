// Every text that is seen in the tab, with the contrast to what lies behind it: [[ratio, text, id or class]], lowest first.
(() => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].map((value, i) => (i < 3 ? value : value / 255));
    };
    const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
    const COLOUR = /(rgba?|color|oklab|color-mix)\([^()]*(?:\([^()]*\)[^()]*)*\)/g;
    // Behind a gradient counts whichever of its colours is nearest to the text.
    const grounds = (element) => {
        if (!element) return [[255, 255, 255]];
        const style = getComputedStyle(element);
        const below = grounds(element.parentElement);
        const flat = below.map((ground) => over(rgba(style.backgroundColor), ground));
        const stops = style.backgroundImage.includes('gradient') ? style.backgroundImage.match(COLOUR) || [] : [];
        return stops.length ? stops.flatMap((stop) => flat.map((ground) => over(rgba(stop), ground))) : flat;
    };
    const luminance = (colour) => {
        const [r, g, b] = colour.map((v) =>
            v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4,
        );
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (a, b) => {
        const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
        return (high + 0.05) / (low + 0.05);
    };
    const found = [];
    const walk = document.createTreeWalker(document.querySelector('#sdtune_pages'), NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const element = walk.currentNode.parentElement;
        const text = walk.currentNode.textContent.trim();
        if (!text || !element.checkVisibility({checkVisibilityCSS: true}) || element.closest(':disabled')) continue;
        const style = getComputedStyle(element);
        const colour = rgba(element instanceof SVGElement ? style.fill : style.color);
        let opacity = 1;
        for (let part = element; part; part = part.parentElement) opacity *= getComputedStyle(part).opacity;
        colour[3] *= opacity;
        const worst = Math.min(...grounds(element).map((ground) => ratio(over(colour, ground), ground)));
        found.push([
            Math.round(worst * 100) / 100,
            text.slice(0, 40),
            element.id || element.className.baseVal || element.className,
        ]);
    }
    for (const field of document.querySelectorAll('#sdtune_pages :is(input, textarea)')) {
        if (!field.placeholder || !field.checkVisibility({checkVisibilityCSS: true})) continue;
        const style = getComputedStyle(field, '::placeholder');
        const colour = rgba(style.color);
        colour[3] *= style.opacity;
        const worst = Math.min(...grounds(field).map((ground) => ratio(over(colour, ground), ground)));
        found.push([Math.round(worst * 100) / 100, 'placeholder ' + field.placeholder.slice(0, 30), field.id]);
    }
    return found.sort((a, b) => a[0] - b[0]);
})();
