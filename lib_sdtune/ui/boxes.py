"""Messages as HTML; every word that came from outside is escaped."""

import json
from collections.abc import Callable, Iterable
from html import escape

import gradio as gr

from lib_sdtune.sentences import coded


def box(kind: str, *lines: str, say: Callable[[str], str] = str) -> str:
    """A coloured box: kind "red", "yellow", "green" or "plain"; each line becomes a paragraph.

    say(line): the line in the words of the form.
    """
    inner = "".join(paragraph(line, say) for line in lines if line)
    role = ' role="alert"' if kind == "red" else ""
    return f'<div class="sdtune-box sdtune-{kind}"{role}>{inner}</div>' if inner else ""


def paragraph(line: str, say: Callable[[str], str]) -> str:
    """A line, and beside it what the page's scripts need to say it in another language."""
    codes = coded(line)
    data = (f' data-said="{escape(line)}" data-codes="{escape(json.dumps(codes, ensure_ascii=False))}"'
            if codes else "")
    return f"<p{data}>{escape(say(line))}</p>"


def listing(title: str, lines: Iterable[str]) -> str:
    """A short headed list."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<div class="sdtune-list"><h4>{escape(title)}</h4><ul>{items}</ul></div>' if items else ""


def message(elem_id: str, html: str = "") -> gr.HTML:
    """A component for a box; the id stands on a column around it: gradio writes that of an HTML component twice."""
    with gr.Column(elem_id=elem_id, elem_classes=["sdtune-message"]):
        return gr.HTML(html)
