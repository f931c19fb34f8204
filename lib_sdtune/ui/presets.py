"""The drop-down of presets: built-in ones, and those that a person has saved from the form."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from lib_sdtune import presets
from lib_sdtune.api.admission import admit_event
from lib_sdtune.app import App
from lib_sdtune.formats.plain_data import parse_json
from lib_sdtune.ui import form

DEFAULTS = "Defaults"
KEPT = ("name", "method", "concept.images", "concept.prompt", form.FURTHER)
"""What a preset leaves as it is unless it says otherwise."""


def built_in(family: str = "") -> dict[str, dict[str, Any]]:
    """{what the drop-down says: settings} of every preset that comes with SD Tune, those for subjects first.

    family: as `Host.about` names it; "" takes those of every family.
    """
    loaded = sorted(map(presets.load, presets.names()), key=lambda preset: not preset["title"].startswith("Subject"))
    return {f"{preset['title']}: {preset['for']}": preset["settings"] for preset in loaded
            if family.lower() in ("", preset["family"])}


def by_title(app: App) -> dict[str, dict[str, Any]]:
    """The same of all; a person's own come first."""
    own = {f"Own: {preset['name']}": preset["settings"] for preset in app.presets.list()["presets"]}
    return own | built_in()


def titles(app: App) -> list[str]:
    """What the drop-down offers: a person's own, and those for the family of the model that would be trained."""
    try:
        family = app.host.about().get("family", "")
    except Exception:  # the model is being exchanged, or there is none: the line above the form says what is wrong
        family = ""
    own = [title for title in by_title(app) if title not in built_in()]
    return [DEFAULTS, *own, *built_in(family)]


def connect(app: App, parts: dict[str, Any], paths: Sequence[str], answer: Callable[..., tuple[str, str]],
            defaults: Callable[[], Mapping[str, Any]]) -> None:
    """Connect the drop-down, and the hidden buttons by which javascript/sdtune_presets.js saves and lists.

    answer: see `events.connect`. defaults: what the host recommends, nested.
    """
    inputs = [parts[path] for path in paths]

    def use(request: gr.Request, title: str) -> list[Any]:
        admit_event(request, app.access)
        recommended = form.initial(dict(defaults()))
        values = {path: value for path, value in recommended.items() if path not in KEPT}
        values |= form.from_config(by_title(app).get(title, {}))
        return [values.get(path, gr.update()) for path in paths]

    def listed(request: gr.Request) -> Any:
        admit_event(request, app.access)
        return gr.update(choices=titles(app))

    def save(request: gr.Request, wanted: str, *values: Any) -> tuple[str, Any]:
        """wanted: {"name", "overwrite"} in JSON."""
        def keep(config: dict[str, Any]) -> tuple[str, str]:
            named = parse_json(wanted.encode(), "The preset's name")
            app.presets.save({**named, "settings": config})
            return "", ""

        problem, _ = answer(keep, request, *values)
        return problem, gr.update() if problem else listed(request)

    parts["preset"].change(None, [], None, _js="() => { sdtune.presets.shown(); return []; }")
    for chosen in (parts["preset"].input, parts["use_preset"].click):
        chosen(use, [parts["preset"]], inputs, queue=False)
    parts["list_presets"].click(listed, [], [parts["preset"]], queue=False)
    parts["save_preset"].click(
        save, [parts["preset_name"], *inputs], [parts["preset_message"], parts["preset"]], queue=False).then(
        None, [parts["preset_message"]], None, _js="(problem) => { sdtune.presets.saved(problem); return []; }")
