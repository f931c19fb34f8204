"""Who wants to be told of what: the page's parts, and each step of a picture."""

import inspect
from types import SimpleNamespace

callback_map, ordered_callbacks_map = {}, {}


def adder(category):
    def on(callback, *, name=None):
        script = next(frame.filename for frame in inspect.stack() if frame.filename != __file__)
        entry = SimpleNamespace(script=script, callback=callback, name=name or f"unnamed/{category}")
        callback_map.setdefault(f"callbacks_{category}", []).append(entry)

    return on


def ordered_callbacks(category, unordered_callbacks=None, *, enable_user_sort=True):
    return list(callback_map.get(f"callbacks_{category}", ()))


def caller(category):
    def call(params):
        for entry in ordered_callbacks(category):
            try:
                entry.callback(params)
            except Exception as error:
                print(f"Error executing callback {category} for {entry.script}: {error}")

    return call


for _category in ("ui_tabs", "ui_settings", "app_started", "before_ui", "model_loaded", "cfg_denoiser", "cfg_denoised", "cfg_after_cfg",
                  "extra_noise", "before_image_saved", "image_saved", "image_grid", "script_unloaded"):
    globals()[f"on_{_category}"] = adder(_category)
    globals()[f"{_category}_callback"] = caller(_category)
