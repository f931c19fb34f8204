"""Whether this WebUI is one that can lend its model: A1111's own or a fork that keeps what we ask it for."""

import importlib

NEEDED = {
    "modules.call_queue": ("queue_lock",),
    "modules.sd_models": ("model_data", "checkpoints_list", "checkpoint_aliases", "list_models"),
    "modules.processing": ("StableDiffusionProcessingTxt2Img", "process_images"),
    "modules.extensions": ("extensions",),
    "modules.patches": ("original",),
    "modules.script_callbacks": ("callback_map", "ordered_callbacks"),
}
"""Module of the WebUI -> the names in it without which nothing can be lent."""


def problem() -> str:
    """What is missing here, in a sentence, or ""."""
    for module_name, names in NEEDED.items():
        try:
            module = importlib.import_module(module_name)
        except ImportError:
            missing = [module_name]
        else:
            missing = [f"{module_name}.{name}" for name in names if not hasattr(module, name)]
        if missing:
            return (f"SD Tune does not know this WebUI: it has no {missing[0]}. It trains in AUTOMATIC1111's WebUI, "
                    "reForge, Forge and Forge Neo; here nothing can be started, and everything else works as before.")
    return ""
