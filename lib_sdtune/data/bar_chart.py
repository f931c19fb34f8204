"""Counts as a picture: horizontal bars in SVG, in the colours of the page around it."""

import re
from collections.abc import Iterator
from html import escape

from lib_sdtune.data.problem import printable

ROW, LABEL, BAR, NUMBER = 20, 160, 320, 60  # pixels
LETTERS = 24  # of a label that are shown
CONTROL = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")  # what no SVG may hold


def bars(title: str, counts: dict[str, int], most: int = 30) -> str:
    """SVG of {name: number}, in the given order; what is beyond `most` is one bar called "and n more"."""
    rows = list(counts.items())
    if len(rows) > most:
        smaller = rows[most - 1 :]
        rows = [*rows[: most - 1], (f"and {len(smaller)} more", sum(number for _, number in smaller))]
    longest = max((number for _, number in rows), default=1) or 1
    width, height = LABEL + BAR + NUMBER, ROW * (len(rows) + 1) + 8
    lines = [f'<text x="0" y="14" font-weight="bold">{escape(title)}</text>']
    for position, (name, number) in enumerate(rows, 1):
        lines += row(str(name), number, position * ROW + 6, max(1, BAR * number / longest))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" aria-label="{escape(title)}" font-family="sans-serif" font-size="12" fill="currentColor">'
            f'{"".join(lines)}</svg>')


def row(name: str, number: int, top: int, length: float) -> Iterator[str]:
    name = CONTROL.sub(" ", printable(name))
    label = name if len(name) <= LETTERS else name[: LETTERS - 1] + "…"
    yield (f'<text x="{LABEL - 8}" y="{top + 12}" text-anchor="end">{untranslated(label)}'
           f'<title>{untranslated(name)}</title></text>')
    yield f'<rect x="{LABEL}" y="{top + 2}" width="{length:.1f}" height="{ROW - 6}" fill-opacity="0.5"/>'
    yield f'<text x="{LABEL + length + 6:.1f}" y="{top + 12}">{number:,}</text>'


def untranslated(text: str) -> str:
    """As markup, in two texts: the WebUI translates every text of a page that its table has, also somebody's tags."""
    return f"{escape(text[:1])}<!-- -->{escape(text[1:])}"


def stacked(charts: list[str]) -> str:
    """One SVG of several, below each other."""
    heights = [int(number) for chart in charts for number in re.findall(r'height="(\d+)"', chart)[:1]]
    placed = [chart.replace("<svg ", f'<svg y="{sum(heights[:number])}" ', 1)
              for number, chart in enumerate(charts)]
    width, height = LABEL + BAR + NUMBER, sum(heights)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
            f'{"".join(placed)}</svg>')
