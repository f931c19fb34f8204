"""The tab's skeleton: where things stand. What happens on a click is in `events`, what moves is in javascript/."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from lib_sdtune import __version__, methods
from lib_sdtune.settings_import.names_elsewhere import names_elsewhere
from lib_sdtune.ui import events, labels, lora_tools_page, memory, pictures_page, presets
from lib_sdtune.ui.boxes import box, message
from lib_sdtune.ui.components import component
from lib_sdtune.ui.context import TabContext
from lib_sdtune.ui.fields import FURTHER, Field, declared
from lib_sdtune.ui.form import initial
from lib_sdtune.ui.layout import arrange, method_of
from lib_sdtune.ui.upload import UploadButton

PRESET = "Settings that suit a kind of subject; what they change shows in the fields below."


def build(context: TabContext) -> gr.Blocks:
    """The tab as `gr.Blocks`. When nothing can be trained here it says why instead of failing."""
    with gr.Blocks(title="SD Tune", analytics_enabled=False) as tab:
        try:
            if context.problem:
                raise RuntimeError(context.problem)
            pages(context)
        except Exception as problem:
            sentence = str(problem) or type(problem).__name__
            message("sdtune_problem", box("red", "SD Tune cannot train here.", sentence))
    return tab


def pages(context: TabContext) -> None:
    usable = tuple(methods.usable(context.why_unusable))
    fields = [replace(field, choices=usable) if field.path == "method" else field for field in declared()]
    values = initial()  # the WebUI keeps these as its defaults; what the host recommends comes in as the page opens
    parts: dict[str, Any] = {}
    with gr.Tabs(elem_id="sdtune_pages"):
        with gr.Tab("Train", elem_id="sdtune_page_train"):
            training(context, fields, values, parts)
        with gr.Tab("Pictures", elem_id="sdtune_page_pictures"):
            gr.HTML(pictures_page.html())
        with gr.Tab("LoRA tools", elem_id="sdtune_page_lora_tools"):
            gr.HTML(lora_tools_page.html())
    events.connect(context, fields, parts)


def training(context: TabContext, fields: Sequence[Field], values: Mapping[str, Any], parts: dict[str, Any]) -> None:
    with gr.Row(elem_id="sdtune_columns"):
        with gr.Column(scale=5, min_width=320, elem_id="sdtune_form"):
            form(fields, values, parts, context.home)
        with gr.Column(scale=7, min_width=320, elem_id="sdtune_results"):
            gr.HTML(panel(context))
    gr.HTML('<div id="sdtune_runs"></div><div id="sdtune_loose"></div>')
    gr.HTML(f'<p id="sdtune_version">SD Tune {__version__}</p>')


def form(fields: Sequence[Field], values: Mapping[str, Any], parts: dict[str, Any], home: str) -> None:
    by_path = {field.path: field for field in fields}

    def place(path: str) -> None:
        parts[path] = component(by_path[path], values[path])

    place("method")
    gr.HTML('<p id="sdtune_model" class="sdtune-soft"></p><div id="sdtune_deferred" role="status"></div>')
    with gr.Row(elem_classes=["sdtune-row"]):
        place("name")
        place("concept.prompt")
    with gr.Row(elem_classes=["sdtune-row", "sdtune-pictures"]):
        place("concept.images")
        parts["upload"] = UploadButton("Upload", file_count="multiple", elem_id="sdtune_upload", scale=0, min_width=90)
        parts["check"] = gr.Button("Check", elem_id="sdtune_check", scale=0, min_width=90)
    gr.HTML('<div id="sdtune_picture_sets" class="sdtune-line"></div>')
    parts["report"] = message("sdtune_report")
    titles = ["Defaults", *presets.built_in()]
    parts["preset"] = gr.Dropdown(titles, value="Defaults", label="Preset", info=PRESET, elem_id="sdtune_preset",
                                  elem_classes=["sdtune-field"])
    gr.HTML('<div id="sdtune_presets"></div>')
    parts["preset_message"] = message("sdtune_preset_message")
    gr.HTML('<div id="sdtune_open"></div>')
    gr.HTML(f'<div id="sdtune_search" data-names="{escape(json.dumps(names(fields)))}"></div>')
    groups, expert = arrange(fields)
    for title, members in groups.items():
        with accordion(title, members):
            grids(members, place, buttons(parts, home))
    with gr.Accordion("Expert", open=False, elem_id="sdtune_group_expert", elem_classes=["sdtune-group"]):
        for title, members in expert.items():
            if members:
                gr.HTML(f'<h4 class="sdtune-heading">{escape(title)}</h4>')
                grid(members, place)
    gr.HTML('<div id="sdtune_changes" class="sdtune-line" hidden></div>')
    memory.place(parts)
    parts["message"] = message("sdtune_start_message")
    parts["start"] = gr.Button("Start training", variant="primary", elem_id="sdtune_start")
    hidden(parts, place)


def names(fields: Sequence[Field]) -> dict[str, str]:
    """{elem_id of a field: what the setting is called in other programs}, for the search."""
    elsewhere = names_elsewhere()
    known = {field.elem_id: elsewhere.get(field.path.replace("concept.", "concepts[].")) for field in fields}
    return {elem_id: " ".join(words) for elem_id, words in known.items() if words}


def accordion(title: str, members: Iterable[Field]) -> gr.Accordion:
    method = method_of(members)
    classes = ["sdtune-group", *([f"sdtune-method-{method}"] if method else [])]
    elem_id = "sdtune_group_" + title.lower().replace(" ", "_")
    return gr.Accordion(title, open=False, elem_id=elem_id, elem_classes=classes)


def buttons(parts: dict[str, Any], home: str) -> dict[str, Callable[[], None]]:
    """{path of a field: function that puts a button below it}."""

    def from_txt2img() -> None:
        if home == "webui":
            parts["from_txt2img"] = gr.Button("Take from txt2img", elem_id="sdtune_from_txt2img", size="sm")

    def class_pictures() -> None:
        parts["class_draw"] = gr.Button("Generate class pictures", elem_id="sdtune_class_draw", size="sm")
        parts["class_message"] = message("sdtune_class_message")
        gr.HTML('<div id="sdtune_class_work"></div>')
        gr.HTML('<div id="sdtune_concepts"></div>')

    return {"sample.prompts": from_txt2img, "concept.num_class_images": class_pictures}


def grids(members: Sequence[Field], place: Callable[[str], None], below: Mapping[str, Callable[[], None]]) -> None:
    """The fields, with what stands below some of them."""
    begin = 0
    for number, field in enumerate(members, 1):
        if field.path in below:
            grid(members[begin:number], place)
            below[field.path]()
            begin = number
    grid(members[begin:], place)


def grid(members: Iterable[Field], place: Callable[[str], None]) -> None:
    if members:
        with gr.Group(elem_classes=["sdtune-grid"]):
            for field in members:
                place(field.path)


def hidden(parts: dict[str, Any], place: Callable[[str], None]) -> None:
    """What the page's scripts and the server hand each other; never seen, never saved."""
    with gr.Row(elem_classes=["sdtune-hidden"]):
        for name in ("started", "wanted", "opened", "base", "set_name", "preset_name"):
            parts[name] = gr.Textbox("", label=f"SD Tune {name}", elem_id=f"sdtune_{name}")
            parts[name].do_not_save_to_config = True
        for name in ("restore", "use", "open_form", "use_preset", "save_preset", "list_presets"):
            parts[name] = gr.Button(f"SD Tune {name}", elem_id=f"sdtune_{name}_button")
            parts[name].do_not_save_to_config = True
        memory.hidden(parts)
        place(FURTHER)
    parts["preset"].do_not_save_to_config = True


def panel(context: TabContext) -> str:
    text = Path(__file__).with_name("panel.html").read_text(encoding="utf-8")
    facts = {"home": context.home, "dirs": "hidden" if context.hide_dirs else "shown",
             "methods": json.dumps(labels.methods(methods.usable(context.why_unusable))),
             "kinds": json.dumps(labels.kinds())}
    for name, value in facts.items():
        text = text.replace(f"{{{name}}}", escape(value))
    return text
