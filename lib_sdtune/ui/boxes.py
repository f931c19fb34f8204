"""Messages as HTML; every word that came from outside is escaped."""

from collections.abc import Iterable
from html import escape

import gradio as gr


def box(kind: str, *lines: str) -> str:
    """A coloured box: kind "red", "yellow", "green" or "plain"; each line becomes a paragraph."""
    inner = "".join(f"<p>{escape(line)}</p>" for line in lines if line)
    role = ' role="alert"' if kind == "red" else ""
    return f'<div class="sdtune-box sdtune-{kind}"{role}>{inner}</div>' if inner else ""


def listing(title: str, lines: Iterable[str]) -> str:
    """A short headed list."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<div class="sdtune-list"><h4>{escape(title)}</h4><ul>{items}</ul></div>' if items else ""


def message(elem_id: str, html: str = "") -> gr.HTML:
    """A component for a box; the id stands on a column around it: gradio writes that of an HTML component twice."""
    with gr.Column(elem_id=elem_id, elem_classes=["sdtune-message"]):
        return gr.HTML(html)
