"""The line above Start that says what memory the settings need, and the button that measures it.

The page's scripts draw it.
"""

import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from lib_sdtune.api.admission import admit_event
from lib_sdtune.api.answers import with_codes
from lib_sdtune.ui.boxes import message
from lib_sdtune.ui.context import TabContext

HIDDEN = "estimated", "estimate"


def place(parts: dict[str, Any]) -> None:
    """The line and its button."""
    with gr.Row(elem_id="sdtune_memory_row", elem_classes=["sdtune-row"]):
        gr.HTML('<div id="sdtune_memory"></div>')
        parts["measure"] = gr.Button("Measure two steps", elem_id="sdtune_measure", size="sm", scale=0, min_width=150)
    parts["measure_message"] = message("sdtune_measure_message")


def hidden(parts: dict[str, Any]) -> None:
    """What the scripts press when a setting has changed, and where the answer goes."""
    parts["estimated"] = gr.Textbox("", label="SD Tune estimated", elem_id="sdtune_estimated")
    parts["estimate"] = gr.Button("SD Tune estimate", elem_id="sdtune_estimate_button")
    for name in HIDDEN:
        parts[name].do_not_save_to_config = True


def connect(context: TabContext, parts: dict[str, Any], inputs: list[Any], config: Callable[..., dict[str, Any]],
            answer: Callable[..., tuple[str, str]]) -> None:
    """config(values): CONFIG of the form. answer(function, request, *values): (box with what is wrong or "", …)."""

    def estimate(request: gr.Request, *values: Any) -> str:
        try:
            admit_event(request, context.app.access)
            settings = config(values)
            for concept in settings["concepts"]:
                concept["images"] = concept.get("images") or "."  # pictures may come later
            return json.dumps(with_codes(context.app.memory.estimate(settings)))
        except Exception:
            return "{}"  # what is wrong with the settings is told by Check and Start

    def measure(request: gr.Request, *values: Any) -> str:
        return answer(lambda config: (context.app.memory.start(config) and "", ""), request, *values)[0]

    parts["estimate"].click(estimate, inputs, [parts["estimated"]], queue=False).then(
        None, [parts["estimated"]], None, _js="(facts) => { sdtune.memory.estimated(facts); return []; }")
    parts["measure"].click(measure, inputs, [parts["measure_message"]], queue=False).then(
        None, [], None, _js="() => { sdtune.memory.refresh(true); return []; }")
