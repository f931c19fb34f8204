"""What most tests of runs begin with."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--campaign", type=int, default=0, metavar="N", help="examples of each test in tests/fuzz; few by default")


@pytest.fixture
def host(tmp_path):
    """A `TinyHost` with folders of its own."""
    from tests.hosts import TinyHost

    return TinyHost(tmp_path / "data")


@pytest.fixture
def images(tmp_path):
    """A folder of three pictures with captions, ten repeats each."""
    from tests.hosts import pictures

    return pictures(tmp_path / "10_ron")


@pytest.fixture
def client(app):
    """A client of the REST door on the `app` of the test's own file."""
    pytest.importorskip("fastapi", reason="fastapi comes with the WebUI and with the `ui` verb's requirements")
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from lib_sdtune.api.router import attach

    return TestClient(attach(FastAPI(), app), raise_server_exceptions=False)
