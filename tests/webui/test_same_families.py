"""Families and variants: the WebUI's own forward, its modules as we use them, and ours agree.

SDTUNE_WEBUI_DIR is the WebUI's folder, SDTUNE_WEBUI_PYTHON the Python of its environment, SDTUNE_WEBUI_CHECKPOINTS a folder of
small checkpoints, each with its .yaml.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

PYTHON, FOLDER, SOURCE = (os.environ.get(f"SDTUNE_WEBUI_{name}") for name in ("PYTHON", "DIR", "CHECKPOINTS"))
pytestmark = pytest.mark.skipif(not (PYTHON and FOLDER and SOURCE),
                                reason="SDTUNE_WEBUI_DIR, SDTUNE_WEBUI_PYTHON and SDTUNE_WEBUI_CHECKPOINTS are not set")


def test_all_three_forwards_agree():
    done = subprocess.run([PYTHON, str(Path(__file__).with_name("same_families.py")), SOURCE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(done.stdout.splitlines()[-1])
    assert results
    for name, answer in results.items():
        print(name, answer)
        assert answer["types"]["lent"] == answer["types"]["ours"], name
        assert min(answer["scale"]) > 1e-2, name
        worn, worn_file, both, effect = answer["adapted"]["text"]
        assert max(worn, worn_file, both) < 2e-5 and effect > 1e-2, (name, answer["adapted"])
        for host in ("lent", "ours"):
            assert max(max(differences) for differences in answer[host].values()) < 1e-5, (name, host, answer[host])
