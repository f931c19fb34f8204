"""What happens on a click. Every event is short: a run lives in `jobs`, and the page watches it through the API.

gradio takes events from every page that a browser shows, so those that read or write something of the user's ask
`api.admission` first, as our own routes do.
"""

import json
import re
import traceback

import gradio as gr

from lib_sdtune import presets
from lib_sdtune.api.admission import Refused, admit
from lib_sdtune.errors import RunError, UserError
from lib_sdtune.ui import check, form, memory, upload
from lib_sdtune.ui.boxes import box


def wire(door, fields, parts):
    """Connect the fields and buttons of `tab.form`."""
    paths = [field.path for field in fields]
    inputs = [parts[path] for path in paths]
    names = {f'"{field.path}"': f'"{field.label}"' for field in fields} | {f'"concepts[0].{field.path[8:]}"': f'"{field.label}"'
                                                                         for field in fields if field.section == "concept"}

    def config(values):
        return form.to_config(dict(zip(paths, values, strict=True)), defaults(door))

    def guarded(work, request, *values):
        try:
            admit(request.request, door.app.access)
            return work(config(values))
        except Refused as problem:
            return box("red", str(problem.detail)), ""
        except (UserError, RunError) as problem:
            return box("red", by_label(str(problem), names)), ""
        except Exception as problem:
            traceback.print_exc()
            return box("red", f"This is a fault of SD Tune: {type(problem).__name__}: {problem}", "The console has the details."), ""

    def start(request: gr.Request, *values):
        return guarded(lambda made: ("", door.app.submit(made)), request, *values)

    def look(request: gr.Request, *values):
        return guarded(lambda made: (check.report(made, door.app), ""), request, *values)[0]

    def draw(request: gr.Request, *values):
        return guarded(lambda made: (door.app.class_pictures.start(made) and "", ""), request, *values)[0]

    parts["start"].click(start, inputs, [parts["message"], parts["started"]], queue=False).then(
        None, [parts["started"]], None, _js="(id) => { sdtune.started(id); return []; }")
    def received(request: gr.Request, files, name):
        try:
            admit(request.request, door.app.access)
            place = upload.keep([(file.name, file.orig_name) for file in files], name, door.app.host.folder("sdtune") / "pictures")
            return str(place), ""
        except Refused as problem:
            return gr.update(), box("red", str(problem.detail))
        except UserError as problem:
            return gr.update(), box("red", by_label(str(problem), names))

    parts["upload"].upload(received, [parts["upload"], parts["name"]], [parts["concept.images"], parts["report"]])
    parts["check"].click(look, inputs, [parts["report"]])
    parts["class_draw"].click(draw, inputs, [parts["class_message"]], queue=False).then(
        None, [], None, _js="() => { sdtune.classes.look(); return []; }")
    if "from_txt2img" in parts:
        prompts = parts["sample.prompts"]
        parts["from_txt2img"].click(None, [prompts], [prompts], _js="(lines) => sdtune.form.fromTxt2img(lines)")
    for path in paths:
        parts[path].change(None, [parts[path]], None, _js=f"(value) => {{ sdtune.form.keep({json.dumps(path)}, value); return []; }}")
    memory.wire(door, parts, inputs, config, guarded)
    fill(door, fields, parts, inputs)


def fill(door, fields, parts, inputs):
    """The three ways in which fields are filled: what was typed last, a preset, the settings of an earlier run."""
    paths = [field.path for field in fields]

    def base():
        fresh = form.initial()
        return json.dumps({path: [fresh[path], value] for path, value in form.initial(defaults(door)).items()})

    def spread(found):
        return [found.get(path, gr.update()) for path in paths]

    def preset(title):
        kept = ("name", "method", "concept.images", "concept.prompt", form.FURTHER)
        start = {path: value for path, value in form.initial(defaults(door)).items() if path not in kept}
        return spread(start | form.from_config(offered().get(title, {})))

    restored = f"(...values) => sdtune.form.restore({json.dumps(paths)}, values)"
    parts["restore"].click(base, [], [parts["base"]], queue=False).then(None, [parts["base"], *inputs], inputs, _js=restored)
    def use(request: gr.Request, name):
        admit(request.request, door.app.access)
        return spread(form.from_config(door.app.jobs.config(name)))

    parts["use"].click(use, [parts["wanted"]], inputs, queue=False)
    parts["preset"].input(preset, [parts["preset"]], inputs, queue=False)


def offered():
    """{what the drop-down says: settings} of every preset."""
    found = sorted((presets.load(name) for name in presets.names()), key=lambda one: not one["title"].startswith("Subject"))
    return {f"{preset['title']}: {preset['for']}": preset["settings"] for preset in found}


def defaults(door):
    """What the host recommends for its model; nothing when it cannot be asked now."""
    try:
        return door.defaults() or {}
    except Exception:
        traceback.print_exc()
        return {}


def by_label(sentence, names):
    """Keys in a sentence under the names that the fields have in the tab."""
    for key, shown in names.items():
        sentence = sentence.replace(key, shown)
    return re.sub(r'"concepts\[(\d+)\]\.(\w+)"', lambda found: further(int(found[1]), found[2], names), sentence)


def further(number, key, names):
    """A setting of a concept that is not the first."""
    first = f'"concepts[0].{key}"'
    return f"{names.get(first, key)} of concept {number + 1}"
