"""Curves as SVG text, for pages that open anywhere."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape

from lib_sdtune.formats.structure import is_number

WIDTH, HEIGHT = 640, 220
EDGE = {"left": 56, "right": 12, "top": 10, "bottom": 26}
COLOURS = ("#ea580c", "#2563eb", "#16a34a", "#9333ea", "#64748b")
CURVES = {"loss": COLOURS[0], "kept aside": COLOURS[1], "trained": COLOURS[2], "class": COLOURS[3],
          "learning rate": COLOURS[4]}
"""Curves of a training, in the colours that the tab gives them (style.css)."""

Point = tuple[float, float]
Place = Callable[[float, float], tuple[str, str]]
"""(x, y) of the data as the text of SVG coordinates."""


def chart(series: Mapping[str, Sequence[Point]], label: str = "", marks: Sequence[tuple[float, str]] = (),
          whole: bool = False) -> str:
    """series: {name: [(x, y), ...]}; marks: [(x, text)] upright lines; whole: x counts something, such as steps.

    Empty text where there is nothing to draw.
    """
    series = {name: [(x, y) for x, y in points if is_number(x) and is_number(y)] for name, points in series.items()}
    series = {name: points for name, points in series.items() if points}
    if not series:
        return ""
    xs, ys = zip(*(point for points in series.values() for point in points), strict=True)
    low, high = limits(ys)
    left, right = min(xs), max(max(xs), min(xs) + 1e-9)

    def place(x: float, y: float) -> tuple[str, str]:
        across = EDGE["left"] + (WIDTH - EDGE["left"] - EDGE["right"]) * (x - left) / (right - left)
        down = (EDGE["top"]
                + (HEIGHT - EDGE["top"] - EDGE["bottom"]) * (1 - (min(max(y, low), high) - low) / (high - low)))
        return f"{across:.1f}", f"{down:.1f}"

    colours = [CURVES.get(name, colour) for name, colour in zip(series, COLOURS * len(series), strict=False)]
    parts = [*grid(place, left, right, low, high, whole), *(mark(place, x, text, low, high) for x, text in marks)]
    for colour, (name, points) in zip(colours, series.items(), strict=True):
        parts.append(curve([place(*point) for point in points], colour, name))
    keys = "".join(f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
                   for colour, name in zip(colours, series, strict=True))
    return (f'<figure><figcaption><b>{escape(label)}</b><span class="keys">{keys}</span></figcaption>'
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(label)}">{"".join(parts)}</svg></figure>')


def curve(points: Sequence[tuple[str, str]], colour: str, name: str) -> str:
    """A line through points that `Place` gave; dots too where they are few."""
    if len(points) == 1:
        return f'<circle cx="{points[0][0]}" cy="{points[0][1]}" r="3" fill="{colour}"/>'
    line = "M" + "L".join(" ".join(point) for point in points)
    dots = ("".join(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>' for x, y in points)
            if len(points) < 60 else "")
    return (f'<path d="{line}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round">'
            f"<title>{escape(name)}</title></path>{dots}")


def grid(place: Place, left: float, right: float, low: float, high: float, whole: bool) -> Iterator[str]:
    """Level lines with their values, and numbers below."""
    for line in range(4):
        y = low + (high - low) * line / 3
        (a, down), (b, _) = place(left, y), place(right, y)
        yield f'<line x1="{a}" x2="{b}" y1="{down}" y2="{down}" class="line"/>'
        yield f'<text x="{float(a) - 6}" y="{float(down) + 4}" text-anchor="end">{y:.3g}</text>'
    spots = [left + (right - left) * line / 4 for line in range(5)]
    for x in sorted({round(x) for x in spots}) if whole else spots:
        number = f"{x:.0f}" if whole or right - left > 20 else f"{x:.3g}"
        yield f'<text x="{place(x, low)[0]}" y="{HEIGHT - 8}" text-anchor="middle">{number}</text>'


def mark(place: Place, x: float, text: str, low: float, high: float) -> str:
    (across, bottom), (_, top) = place(x, low), place(x, high)
    beside, anchor = (-4, "end") if float(across) > WIDTH / 2 else (4, "start")
    return (f'<line x1="{across}" x2="{across}" y1="{top}" y2="{bottom}" class="mark"/>'
            f'<text x="{float(across) + beside}" y="{float(top) + 11}" text-anchor="{anchor}">{escape(text)}</text>')


def limits(values: Sequence[float]) -> tuple[float, float]:
    """A range that single outliers do not stretch."""
    ordered = sorted(values)
    low, high = ordered[int(0.01 * len(ordered))], ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    air = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
    return low - air, high + air


def smoothed(points: Sequence[Point], window: float | None = None) -> list[Point]:
    """Exponential mean of [(x, y)] without the pull of its start; the window grows with the curve."""
    keep, total, weight, averages = 1 - 1 / (window or max(6, min(100, len(points) / 12))), 0.0, 0.0, []
    for x, y in points:
        total, weight = keep * total + (1 - keep) * y, keep * weight + 1 - keep
        averages.append((x, total / weight))
    return averages


def thinned(points: Sequence[Point], most: int = 600) -> list[Point]:
    """At most so many points, evenly spread, with the last one."""
    step = max(1, math.ceil(len(points) / most))
    return [*points[::step], *([points[-1]] if points and (len(points) - 1) % step else [])]
