"""What happens on a click. Every event is short: a run lives in `app.jobs`, and the page watches it through the API.

gradio takes events from every page that a browser shows, so those that read or write something of the user's ask
`api.admission` first, as our own routes do. They go without gradio's queue, which does not tell who is asking.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from lib_sdtune.api.admission import Refused, admit_event
from lib_sdtune.errors import RunError, UserError
from lib_sdtune.failures import fault
from lib_sdtune.formats.plain_data import parse_json
from lib_sdtune.ui import check, form, memory, presets, upload
from lib_sdtune.ui.boxes import box
from lib_sdtune.ui.context import TabContext
from lib_sdtune.ui.field_labels import labels_by_path, with_labels
from lib_sdtune.ui.fields import Field

log = logging.getLogger("sdtune")
ANSWERED = "() => {{ sdtune.messages.answered('{}'); return []; }}"


class FormEvents:
    """What the buttons of the form ask for, answered in boxes. paths: the fields' in the order of their values."""

    def __init__(self, context: TabContext, fields: Sequence[Field]) -> None:
        self.context, self.app = context, context.app
        self.paths, self.labels = [field.path for field in fields], labels_by_path(fields)

    def config(self, values: Sequence[Any]) -> dict[str, Any]:
        """The CONFIG of the form, nested, from its fields' values."""
        return form.to_config(dict(zip(self.paths, values, strict=True)), defaults(self.context))

    def say(self, sentence: str) -> str:
        return with_labels(sentence, self.labels)

    def answer(self, function: Callable[[dict[str, Any]], tuple[Any, str]], request: gr.Request, *values: Any
               ) -> tuple[Any, str]:
        """`function(CONFIG of the form)`, a pair; where it fails a box that says why, and ""."""
        try:
            admit_event(request, self.app.access)
            return function(self.config(values))
        except Refused as problem:
            return box("red", str(problem.detail)), ""
        except (UserError, RunError) as problem:
            return box("red", str(problem), say=self.say), ""
        except Exception as problem:
            log.exception("the form")
            return box("red", fault(problem)), ""

    def start(self, request: gr.Request, *values: Any) -> tuple[Any, str]:
        def submitted(config: dict[str, Any]) -> tuple[str, str]:
            run = self.app.submit(config)
            model = run["model"]
            return box("plain", f"The run {run['id']} trains {model}." if model else ""), run["id"]

        return self.answer(submitted, request, *values)

    def check_pictures(self, request: gr.Request, *values: Any) -> Any:
        return self.answer(lambda config: (check.report(config, self.app, self.say), ""), request, *values)[0]

    def draw_class_pictures(self, request: gr.Request, *values: Any) -> Any:
        return self.answer(lambda config: (self.app.class_pictures.start(config) and "", ""), request, *values)[0]

    def save_uploads(self, request: gr.Request, files: Sequence[Any], dropped: str, name: str, caption_extension: str
                    ) -> tuple[Any, ...]:
        try:
            admit_event(request, self.app.access)
            folder, paths = upload.dropped(dropped, [upload.original_name(file) for file in files])
            uploads = [(file.name, path) for file, path in zip(files, paths, strict=True)]
            name = upload.name_of_set(folder) or name
            pictures = upload.save(uploads, name, self.app.picture_sets.folder, caption_extension or "")
            return str(pictures.folder), box("yellow", *pictures.notes, say=self.say)
        except Refused as problem:
            return gr.update(), box("red", str(problem.detail))
        except (UserError, RunError) as problem:
            return gr.update(), box("red", str(problem), say=self.say)


def connect(context: TabContext, fields: Sequence[Field], parts: dict[str, Any]) -> None:
    """Connect the fields and buttons of `tab.form`; parts: {name or path: component}."""
    events = FormEvents(context, fields)
    paths, inputs = events.paths, [parts[path] for path in events.paths]

    parts["start"].click(events.start, inputs, [parts["message"], parts["started"]], queue=False).then(
        None, [parts["started"]], None,
        _js="(id) => { sdtune.messages.answered('start'); sdtune.started(id); return []; }")
    parts["upload"].upload(events.save_uploads, [parts[name] for name in ("upload", "set_name", "name",
                                                                          "dataset.caption_extension")],
                           [parts["concept.images"], parts["report"]], queue=False).then(
        lambda: "", [], [parts["set_name"]], queue=False).then(None, [], None, _js=ANSWERED.format("upload"))
    parts["check"].click(events.check_pictures, inputs, [parts["report"]], queue=False).then(
        None, [], None, _js=ANSWERED.format("check"))
    parts["class_draw"].click(events.draw_class_pictures, inputs, [parts["class_message"]], queue=False).then(
        None, [], None,
        _js="() => { sdtune.messages.answered('class_draw'); sdtune.classPictures.refresh(); return []; }")
    if "from_txt2img" in parts:
        prompts = parts["sample.prompts"]
        parts["from_txt2img"].click(None, [prompts], [prompts], _js="(lines) => sdtune.form.fromTxt2img(lines)")
    for path in paths:
        changed = f"(value) => {{ sdtune.form.keep({json.dumps(path)}, value); return []; }}"
        parts[path].change(None, [parts[path]], None, _js=changed)
    memory.connect(context, parts, inputs, events.config, events.answer)
    presets.connect(context.app, parts, paths, events.answer, lambda: defaults(context))
    connect_fillers(context, fields, parts, inputs)


def connect_fillers(context: TabContext, fields: Sequence[Field], parts: dict[str, Any], inputs: list[Any]) -> None:
    """The ways in which fields are filled: typed last, a preset, an earlier run's settings, another program's."""
    paths = [field.path for field in fields]

    def base(title: str) -> tuple[str, Any]:
        model = model_name(context)  # before what is recommended: where it is exchanged meanwhile, the page asks again
        declared = form.initial()
        recommended = form.initial(defaults(context))
        titles = presets.titles(context.app)
        chosen = title if title in titles else titles[0]
        fields = {path: [declared[path], value] for path, value in recommended.items()}
        return (json.dumps({"model": model, "fields": fields}),
                gr.update(choices=titles, value=chosen))

    def in_order(values: Mapping[str, Any]) -> list[Any]:
        return [values.get(path, gr.update()) for path in paths]

    def settings_of_run(request: gr.Request, name: str) -> list[Any]:
        admit_event(request, context.app.access)
        return in_order(form.from_config(context.app.jobs.config(name)))

    def opened_settings(request: gr.Request, text: str) -> list[Any]:
        admit_event(request, context.app.access)
        return in_order(form.from_config(parse_json(text.encode(), "The settings")))

    restore = f"(...values) => sdtune.form.restore({json.dumps(paths)}, values)"
    parts["restore"].click(base, [parts["preset"]], [parts["base"], parts["preset"]], queue=False).then(
        None, [parts["base"], *inputs], inputs, _js=restore)
    used = f"(...values) => sdtune.form.used({json.dumps(paths)}, values)"
    parts["use"].click(settings_of_run, [parts["wanted"]], inputs, queue=False).then(None, inputs, inputs, _js=used)
    parts["open_form"].click(opened_settings, [parts["opened"]], inputs, queue=False)


def model_name(context: TabContext) -> str:
    """The model that the recommendations are for; "" while there is none."""
    try:
        return context.app.host.about().get("model", "")
    except Exception:  # it is being exchanged: the page asks again as soon as there is one
        return ""


def defaults(context: TabContext) -> dict[str, Any]:
    """What the host recommends for its model; nothing when it cannot be asked now."""
    try:
        return context.defaults() or {}
    except Exception:
        log.exception("what the host recommends")
        return {}
