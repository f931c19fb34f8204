"""What most tests of runs begin with."""

import gc
import os

import pytest

pytest_plugins = ["tests.translatable"]


def pytest_addoption(parser):
    parser.addoption("--campaign", type=int, default=0, metavar="N", help="examples of each test in tests/fuzz; few by default")


def pytest_collection_finish():
    """What all tests have imported stays to the end; no collection of garbage looks through its million objects again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk():
    """No test cuts the power, and a run waits for the disk forty times; `formats/test_files.py` has what is synced when."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


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
