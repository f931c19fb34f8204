"""Counts as a picture: horizontal bars in SVG, in the colours of the page around it."""

import re
from html import escape

from lib_sdtune.data.problem import shown as readable

ROW, LABEL, BAR, NUMBER = 20, 160, 320, 60  # pixels
LETTERS = 24  # of a label that are shown
CONTROL = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")  # what no SVG may hold


def bars(title, counts, most=30):
    """SVG of {name: number}, in the given order; what is beyond `most` is one bar called "and n more"."""
    rows = list(counts.items())
    if len(rows) > most:
        rest = rows[most - 1 :]
        rows = [*rows[: most - 1], (f"and {len(rest)} more", sum(number for _, number in rest))]
    longest = max((number for _, number in rows), default=1) or 1
    width, height = LABEL + BAR + NUMBER, ROW * (len(rows) + 1) + 8
    lines = [f'<text x="0" y="14" font-weight="bold">{escape(title)}</text>']
    for position, (name, number) in enumerate(rows, 1):
        lines += row(str(name), number, position * ROW + 6, max(1, BAR * number / longest))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
            f'aria-label="{escape(title)}" font-family="sans-serif" font-size="12" fill="currentColor">{"".join(lines)}</svg>')


def row(name, number, top, length):
    name = CONTROL.sub(" ", readable(name))
    shown = name if len(name) <= LETTERS else name[: LETTERS - 1] + "…"
    yield f'<text x="{LABEL - 8}" y="{top + 12}" text-anchor="end">{escape(shown)}<title>{escape(name)}</title></text>'
    yield f'<rect x="{LABEL}" y="{top + 2}" width="{length:.1f}" height="{ROW - 6}" fill-opacity="0.5"/>'
    yield f'<text x="{LABEL + length + 6:.1f}" y="{top + 12}">{number:,}</text>'


def stacked(charts):
    """One SVG of several, below each other."""
    heights = [int(re.search(r'height="(\d+)"', chart)[1]) for chart in charts]
    placed = [chart.replace("<svg ", f'<svg y="{sum(heights[:number])}" ', 1) for number, chart in enumerate(charts)]
    width, height = LABEL + BAR + NUMBER, sum(heights)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
            f'{"".join(placed)}</svg>')
