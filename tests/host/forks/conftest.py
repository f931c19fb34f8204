"""A WebUI of each fork's kind: the stand-in of A1111's `modules`, with the fork's shapes in the place of A1111's."""

import importlib
import sys
from pathlib import Path

import pytest

STANDIN = str(Path(__file__).parents[2] / "standin")


@pytest.fixture(scope="package", params=["patched", "backend"], autouse=True)
def fork(request, tmp_path_factory):
    pytest.importorskip("ldm.modules.attention", reason="stable-diffusion-sdkit is not installed (pip install --no-deps it)")
    sys.path.insert(0, STANDIN)
    import modules

    modules.start(tmp_path_factory.mktemp(request.param))
    importlib.import_module(f"tests.standin.forks.{request.param}").install()
    yield request.param
    modules.stop()
    sys.path.remove(STANDIN)


@pytest.fixture
def host(fork):
    """The host over a model in its everyday state: one picture has been made."""
    from tests.host.forks import probe

    probe.draw()
    from lib_sdtune.host.webui.host import WebUIHost

    host = WebUIHost()
    assert type(host.fork).__name__.lower() == fork
    yield host
    assert probe.free(), "the queue lock was left taken"
