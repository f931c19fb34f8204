"""The tab's skeleton: where things stand. What happens on a click is in `events`, what moves is in javascript/."""

import json
from html import escape
from pathlib import Path

import gradio as gr

from lib_sdtune import __version__
from lib_sdtune.ui import events, labels, memory, workshop
from lib_sdtune.ui.boxes import box
from lib_sdtune.ui.components import component
from lib_sdtune.ui.fields import FURTHER, declared
from lib_sdtune.ui.form import initial
from lib_sdtune.ui.layout import arrange, method_of
from lib_sdtune.ui.upload import UploadButton

PRESET = "Settings that suit a kind of subject; what they change shows in the fields below."


def build(door):
    """The tab as `gr.Blocks`. When nothing can be trained here it says why instead of failing."""
    with gr.Blocks(title="SD Tune", analytics_enabled=False) as tab:
        try:
            if door.problem:
                raise RuntimeError(door.problem)
            whole(door)
        except Exception as problem:
            gr.HTML(box("red", "SD Tune cannot train here.", str(problem) or type(problem).__name__), elem_id="sdtune_problem")
    return tab


def whole(door):
    fields = declared()
    values = initial()  # what the host recommends comes in when the page is opened: the WebUI keeps these as its own defaults
    parts = {}
    with gr.Tabs(elem_id="sdtune_pages"):
        with gr.Tab("Train", elem_id="sdtune_page_train"):
            training(door, fields, values, parts)
        with gr.Tab("Pictures", elem_id="sdtune_page_pictures"):
            gr.HTML(workshop.html())
    events.wire(door, fields, parts)


def training(door, fields, values, parts):
    with gr.Row(elem_id="sdtune_columns"):
        with gr.Column(scale=5, min_width=320, elem_id="sdtune_form"):
            form(fields, values, parts, door.home)
        with gr.Column(scale=7, min_width=320, elem_id="sdtune_results"):
            gr.HTML(panel(door))
    gr.HTML('<div id="sdtune_runs"></div><div id="sdtune_loose"></div>')
    gr.HTML(f'<p id="sdtune_version">SD Tune {__version__}</p>')


def form(fields, values, parts, home):
    by_path = {field.path: field for field in fields}

    def place(path):
        parts[path] = component(by_path[path], values[path])

    place("method")
    gr.HTML('<p id="sdtune_model" class="sdtune-soft"></p>')
    with gr.Row(elem_classes=["sdtune-row"]):
        place("name")
        place("concept.prompt")
    with gr.Row(elem_classes=["sdtune-row", "sdtune-pictures"]):
        place("concept.images")
        parts["upload"] = UploadButton("Upload", file_count="multiple", elem_id="sdtune_upload", scale=0, min_width=90)
        parts["check"] = gr.Button("Check", elem_id="sdtune_check", scale=0, min_width=90)
    parts["report"] = gr.HTML("", elem_id="sdtune_report")
    parts["preset"] = gr.Dropdown(["Defaults", *events.offered()], value="Defaults", label="Preset", info=PRESET,
                                  elem_id="sdtune_preset", elem_classes=["sdtune-field"])
    groups, expert = arrange(fields)
    for title, members in groups.items():
        with accordion(title, members):
            grids(members, place, buttons(parts, home))
    with gr.Accordion("Expert", open=False, elem_id="sdtune_group_expert", elem_classes=["sdtune-group"]):
        for title, members in expert.items():
            if members:
                gr.HTML(f'<h4 class="sdtune-heading">{escape(title)}</h4>')
                grid(members, place)
    memory.place(parts)
    parts["start"] = gr.Button("Start training", variant="primary", elem_id="sdtune_start")
    parts["message"] = gr.HTML("", elem_id="sdtune_start_message")
    hidden(parts, place)


def accordion(title, members):
    method = method_of(members)
    classes = ["sdtune-group", *([f"sdtune-method-{method}"] if method else [])]
    return gr.Accordion(title, open=False, elem_id="sdtune_group_" + title.lower().replace(" ", "_"), elem_classes=classes)


def buttons(parts, home):
    """{path of a field: function that puts a button below it}."""

    def from_txt2img():
        if home == "webui":
            parts["from_txt2img"] = gr.Button("Take from txt2img", elem_id="sdtune_from_txt2img", size="sm")

    def class_pictures():
        parts["class_draw"] = gr.Button("Generate class pictures", elem_id="sdtune_class_draw", size="sm")
        parts["class_message"] = gr.HTML("", elem_id="sdtune_class_message")
        gr.HTML('<div id="sdtune_class_work"></div>')
        gr.HTML('<div id="sdtune_concepts"></div>')

    return {"sample.prompts": from_txt2img, "concept.num_class_images": class_pictures}


def grids(members, place, below):
    """The fields, with what stands below some of them."""
    begin = 0
    for number, field in enumerate(members, 1):
        if field.path in below:
            grid(members[begin:number], place)
            below[field.path]()
            begin = number
    grid(members[begin:], place)


def grid(members, place):
    if members:
        with gr.Group(elem_classes=["sdtune-grid"]):
            for field in members:
                place(field.path)


def hidden(parts, place):
    """What the page's scripts and the server hand each other; never seen, never saved."""
    with gr.Row(elem_classes=["sdtune-hidden"]):
        for name in ("started", "wanted", "base"):
            parts[name] = gr.Textbox("", label=f"SD Tune {name}", elem_id=f"sdtune_{name}")
            parts[name].do_not_save_to_config = True
        for name in ("restore", "use"):
            parts[name] = gr.Button(f"SD Tune {name}", elem_id=f"sdtune_{name}_button")
            parts[name].do_not_save_to_config = True
        memory.hidden(parts)
        place(FURTHER)
    parts["preset"].do_not_save_to_config = True


def panel(door):
    text = Path(__file__).with_name("panel.html").read_text(encoding="utf-8")
    facts = {"home": door.home, "dirs": "hidden" if door.hide_dirs else "shown",
             "methods": json.dumps(labels.methods()), "kinds": json.dumps(labels.kinds())}
    for name, value in facts.items():
        text = text.replace(f"{{{name}}}", escape(value))
    return text
