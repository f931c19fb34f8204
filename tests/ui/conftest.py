"""A tab with one finished run, and a browser to look at it with."""

import pytest

from lib_sdtune.app import App
from lib_sdtune.ui import standalone
from lib_sdtune.ui.context import TabContext
from tests.hosts import TinyHost, pictures, settings, train
from tests.ui.browser import browser, served


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def url(folder):
    """The address of a tab with one finished run."""
    host = TinyHost(folder / "data")
    host.about = lambda model=None: {"model": "tiny", "family": "SD1"}
    train(host, settings(pictures(folder / "pics"), sample={"every_n_steps": 1, "prompts": ["a hat"], "steps": 1}))
    with served(standalone.serve(TabContext(App(lambda: host)))) as address:
        yield address


@pytest.fixture(scope="session")
def shared_browser(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as browser_of_all:
        yield browser_of_all


@pytest.fixture
def page(shared_browser):
    with shared_browser.page() as page:
        yield page
