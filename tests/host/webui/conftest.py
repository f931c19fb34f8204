"""The same tests run on a stand-in of the WebUI's `modules`, and on the real ones where SDTUNE_WEBUI_DIR is set.

The second way keeps the stand-in honest: what it claims must hold for the WebUI itself. See tests/webui/test_inside.py.
"""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REAL = "SDTUNE_WEBUI_DIR" in os.environ
sys.path.insert(0, str(HERE))


@pytest.fixture(scope="package", autouse=True)
def webui(tmp_path_factory):
    if REAL:
        import real

        real.start()
        yield
        return
    pytest.importorskip("ldm.modules.attention", reason="stable-diffusion-sdkit is not installed (pip install --no-deps it)")
    standin = str(HERE.parents[1] / "standin")
    sys.path.insert(0, standin)
    import modules

    modules.start(tmp_path_factory.mktemp("webui"))
    yield
    modules.stop()
    sys.path.remove(standin)


@pytest.fixture
def host(webui):
    """The host over a model in its everyday state: one picture has been made."""
    import webui_probe
    from modules import sd_models

    from lib_sdtune.host.webui.host import WebUIHost

    webui_probe.draw()
    assert webui_probe.free()
    yield WebUIHost()
    assert webui_probe.free(), "the queue lock was left taken"
    assert sd_models.model_data.sd_model is not None


@pytest.fixture
def unchanged(host):
    """Fails the test when anything about the WebUI is other than before it."""
    import webui_probe

    before = webui_probe.fingerprint()
    yield before
    assert webui_probe.differences(before, webui_probe.fingerprint()) == []
