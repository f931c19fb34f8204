"""The only file that the WebUI executes: it registers the tab, the settings and the API. It holds no state."""

import traceback
from html import escape
from pathlib import Path

import gradio as gr
from modules import extensions, script_callbacks

import lib_sdtune  # noqa: F401 - importable only while this file is executed; later imports build on it

FOLDER = Path(__file__).parents[1]


def first_installation() -> Path | None:
    """The folder of an SD Tune that the WebUI executed before this one, where it is installed twice."""
    scripts = [Path(callback.script) for callback in script_callbacks.callback_map.get("callbacks_ui_tabs", ())]
    folders = [path.parents[1] for path in scripts if path.name == Path(__file__).name]
    return next((folder for folder in folders if folder != FOLDER), None)


def step_aside(first: Path) -> None:
    """Leave the page to the first installation: the WebUI serves no scripts, style and words of what is not enabled."""
    print(f"SD Tune in {FOLDER} is not used, because it is installed in {first} too; remove one of these two folders.")
    for extension in extensions.extensions:
        if Path(extension.path) == FOLDER:
            extension.enabled = False


def remember_code():
    """What the WebUI's functions were before other extensions exchanged any while it runs."""
    try:
        from lib_sdtune.host.webui.extensions.hijack_points import remember

        remember()
    except Exception:
        traceback.print_exc()  # the tab says what cannot be had here


def tab():
    """SD Tune's tab; where it cannot be built, one that says so, because a missing tab tells nobody anything."""
    try:
        from lib_sdtune.extension.callbacks import tab

        return tab()
    except Exception as error:
        traceback.print_exc()
        with gr.Blocks(analytics_enabled=False) as page:
            gr.HTML(f'<p id="sdtune_problem">SD Tune cannot train here: {escape(f"{type(error).__name__}: {error}")}. '
                    "The console has the details; everything else works as before.</p>")
        return [(page, "SD Tune", "sdtune_tab")]


def settings():
    from lib_sdtune.extension.callbacks import settings

    settings()


def api(demo, app):
    from lib_sdtune.extension.callbacks import api

    api(demo, app)


def axis():
    from lib_sdtune.extension.callbacks import axis

    axis()


first = first_installation()
if first:
    step_aside(first)
else:
    remember_code()
    script_callbacks.on_before_ui(axis, name="sdtune")
    script_callbacks.on_ui_settings(settings, name="sdtune")
    script_callbacks.on_ui_tabs(tab, name="sdtune")
    script_callbacks.on_app_started(api, name="sdtune")
