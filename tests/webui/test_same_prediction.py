"""A file made here or by the WebUI's own trainer gives the same prediction in both programs.

SDTUNE_WEBUI_DIR is the WebUI's folder, SDTUNE_WEBUI_PYTHON the Python of its environment.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

PYTHON, FOLDER = (os.environ.get(f"SDTUNE_WEBUI_{name}") for name in ("PYTHON", "DIR"))
pytestmark = pytest.mark.skipif(not (PYTHON and FOLDER), reason="SDTUNE_WEBUI_DIR and SDTUNE_WEBUI_PYTHON are not set")


def test_hypernetworks_and_embeddings():
    done = subprocess.run([PYTHON, str(Path(__file__).with_name("same_prediction.py"))], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    differences = json.loads(done.stdout.splitlines()[-1])
    print(differences)
    assert len(differences) == 6
    for name, (in_webui, in_ours, effect) in differences.items():
        assert max(in_webui, in_ours) < 1e-5 and effect > 1e-3, (name, in_webui, in_ours, effect)
