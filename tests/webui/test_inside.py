"""The host's own tests, once more inside the real WebUI: what holds for the stand-in must hold for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_stand_in_has_not_drifted(tmp_path):
    folder, data = os.environ.get("SDTUNE_WEBUI_DIR"), os.environ.get("SDTUNE_WEBUI_DATA")
    if not folder or not data:
        pytest.skip("SDTUNE_WEBUI_DIR (the WebUI's folder) and SDTUNE_WEBUI_DATA (a --data-dir with two small checkpoints) are not set")
    named = filter(None, [os.environ.get("SDTUNE_WEBUI_PYTHON")])
    python = next(path for path in (*named, Path(folder, "venv/bin/python"), Path(folder, "venv/Scripts/python.exe")) if Path(path).exists())
    own = [path for path in sys.path if "pytest" in path or path.endswith("site-packages")]
    has_its_own = subprocess.run([python, "-c", "import pytest"], capture_output=True).returncode == 0
    ours = "" if has_its_own else next((path for path in own if Path(path, "pytest").is_dir()), "")  # of another Python perhaps
    tools = os.environ.get("SDTUNE_WEBUI_PYTEST", ours)
    answer = subprocess.run([python, "-m", "pytest", "-q", "-W", "ignore", "-p", "no:cacheprovider", str(ROOT / "tests/host/webui")],
                            cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), tools])}, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout[-4000:]
