"""Pages of one file each: style and pictures inside, nothing fetched, every word from outside escaped."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from PIL import Image

STYLE = """
:root { color-scheme: light dark; --soft: #6b7280; --line: #d1d5db; --good: #16a34a; }
@media (prefers-color-scheme: dark) { :root { --soft: #9ca3af; --line: #374151; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.soft, figcaption .keys, th, text { color: var(--soft); fill: var(--soft); } text { font: 11px system-ui, sans-serif; }
table { border-collapse: collapse; width: 100%; } th { font-weight: 500; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
.grid { overflow-x: auto; } .grid td { padding: 2px; border: 0; }
.grid th { position: sticky; left: 0; max-width: 16rem; font-size: .85rem; background: Canvas; }
img { display: block; max-width: 100%; border-radius: 4px; } ul { margin: 0; padding-left: 1.1rem; }
.best { outline: 2px solid var(--good); border-radius: 6px; } .chip { color: var(--good); font-weight: 600; }
figure { margin: .5rem 0; } figcaption { display: flex; gap: 1rem; flex-wrap: wrap; font-size: .9rem; }
.keys span { margin-right: .8rem; }
.keys i { display: inline-block; width: 14px; height: 3px; margin-right: .3rem; vertical-align: middle; }
svg { width: 100%; max-width: 760px; } .line { stroke: var(--line); } .mark { stroke: #dc2626; stroke-dasharray: 4 3; }
.strip { display: flex; flex-wrap: wrap; gap: 6px; } .strip figure { width: 128px; margin: 0; font-size: .8rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
"""


def page(title: str, *parts: str) -> str:
    """A whole HTML document; `parts` are HTML."""
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            'content="width=device-width">'
            f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
            f"<body><h1>{escape(title)}</h1>{''.join(parts)}</body></html>\n")


def section(title: str, *parts: str) -> str:
    """A heading and HTML below it; "" where there is none."""
    inner = "".join(parts)
    return f"<section><h2>{escape(title)}</h2>{inner}</section>" if inner else ""


def paragraph(text: str, kind: str = "") -> str:
    """kind: a class of `STYLE`; "" where there is no text."""
    return f"<p{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{escape(text)}</p>" if text else ""


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """rows: lists of cells; a cell is text, or `Raw` HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{html(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if rows else ""


class Raw(str):
    """Text that is HTML already."""


def html(cell: object) -> str:
    return cell if isinstance(cell, Raw) else escape(str(cell))


def listing(lines: Iterable[str]) -> "Raw":
    """A list with a dot before each line."""
    return Raw(f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>")


def picture(image: Image.Image | str | Path, side: int = 160, title: str = "", kind: str = "") -> "Raw":
    """An <img> that holds the picture, at most `side` pixels wide and high.

    image: the picture or its path. title: what is read where it cannot be seen. kind: a class of `STYLE`. "" if it
    cannot be read.
    """
    try:
        small = (image if isinstance(image, Image.Image) else Image.open(image)).convert("RGB")
    except OSError:
        return Raw("")
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=86)
    data = base64.b64encode(buffer.getvalue()).decode()
    return Raw(f'<img src="data:image/jpeg;base64,{data}" width="{small.width}" height="{small.height}" '
               f'alt="{escape(title, quote=True)}" '
               f'title="{escape(title, quote=True)}"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>')
