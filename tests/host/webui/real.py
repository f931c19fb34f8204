"""Starts the real WebUI inside this process, without its page: `modules` and a loaded model, as its own `--nowebui` does.

Runs under the WebUI's Python. SDTUNE_WEBUI_DIR is its folder; SDTUNE_WEBUI_DATA a data folder with small checkpoints, the
first of them, by name, of the SD1 family.
"""

import json
import os
import sys
import tempfile

FLAGS = ["--skip-torch-cuda-test", "--use-cpu", "all", "--no-half", "--skip-prepare-environment", "--no-hashing", "--no-download-sd-model"]


def start(flags=()):
    folder, data = os.environ["SDTUNE_WEBUI_DIR"], os.environ["SDTUNE_WEBUI_DATA"]
    os.chdir(folder)
    sys.path.insert(0, folder)
    first = min(name for name in os.listdir(os.path.join(data, "models", "Stable-diffusion")) if name.endswith(".safetensors"))
    settings = os.path.join(tempfile.mkdtemp(), "config.json")
    with open(settings, "w") as file:
        json.dump({"sd_model_checkpoint": first, "emphasis": "No norm"}, file)  # random weights do not survive normalisation
    sys.argv = ["launch.py", "--data-dir", data, "--ui-settings-file", settings, *FLAGS, *flags]
    from modules import initialize

    initialize.imports()
    initialize.check_versions()
    initialize.initialize()
    from modules import script_callbacks, shared

    script_callbacks.before_ui_callback()
    assert shared.sd_model is not None, "no checkpoint could be loaded"
