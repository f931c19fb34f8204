"""One gradio component for one setting."""

from typing import Any

import gradio as gr

from lib_sdtune.ui.fields import Field
from lib_sdtune.ui.labels import methods

PLACEHOLDERS = {"name": "ron", "concept.prompt": "ron cat", "concept.images": "folder on the machine that trains"}


class Number(gr.Number):
    """gradio answers text where a number belongs with a bare "Error", and rounds where a whole one does; here both
    reach `form.parse` as they were typed, which names the field. The page's memory, or another program, may have put
    text there.
    """

    is_template = True  # the page knows it by its parent's name

    def preprocess(self, x: Any) -> Any:
        return x


def component(field: Field, value: Any) -> gr.components.Component:
    """The component that `field.kind` asks for, showing `value`."""
    facts = {"label": field.label, "info": field.info or None, "elem_id": field.elem_id,
             "elem_classes": ["sdtune-field"], "interactive": True}
    if field.path == "method":
        choices = [(method["title"], name) for name, method in methods().items() if name in field.choices]
        return gr.Radio(choices, value=value, **{**facts, "info": None})
    if field.kind == "choice":
        return gr.Dropdown(list(field.choices), value=value, **facts)
    if field.kind == "bool":
        return gr.Checkbox(value, **facts)
    if field.kind in ("int", "float"):
        return Number(value, precision=0 if field.kind == "int" else None, step=step(field), **facts)
    lines = 3 if field.kind in ("lines", "weighted", "json_list") else 1
    if field.path in PLACEHOLDERS:
        facts = {**facts, "info": None, "placeholder": PLACEHOLDERS[field.path]}
    return gr.Textbox(value, lines=lines, max_lines=3 if lines == 1 else 12, **facts)


def step(field: Field) -> float:
    """What one click on the little arrows adds."""
    if field.kind == "float":
        return 0.01 if (field.high or 2) <= 1 else 0.5
    return 64 if field.path.endswith(("reso", "resolution", "width", "height")) else 1
