"""Starts the real WebUI inside this process, without its page: `modules` and a loaded model, as its own `--nowebui` does.

Runs under the WebUI's Python. SDTUNE_WEBUI_DIR is its folder; SDTUNE_WEBUI_DATA a data folder with one small checkpoint.
"""

import os
import sys

FLAGS = ["--skip-torch-cuda-test", "--use-cpu", "all", "--no-half", "--skip-prepare-environment", "--no-hashing", "--no-download-sd-model"]


def start(flags=()):
    folder, data = os.environ["SDTUNE_WEBUI_DIR"], os.environ["SDTUNE_WEBUI_DATA"]
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.argv = ["launch.py", "--data-dir", data, *FLAGS, *flags]
    from modules import initialize

    initialize.imports()
    initialize.check_versions()
    initialize.initialize()
    from modules import script_callbacks, shared

    script_callbacks.before_ui_callback()
    assert shared.sd_model is not None, "no checkpoint could be loaded"
