"""Another site's page attacks a running tab, in a real browser: nothing starts, stops, is read or written."""

import pytest

from lib_sdtune.app import App
from lib_sdtune.ui import standalone
from lib_sdtune.ui.context import TabContext
from tests.fuzz.hostile import tree
from tests.hosts import TinyHost, pictures, settings, train
from tests.ui.attacks import READ_AS_OWN, REBOUND, RESOLVES, TRY, filled, site
from tests.ui.browser import CHROMIUM, browser, served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """(folder, config that is good for a run, the app, its address, every call that it was asked and what it answered)."""
    folder, calls = tmp_path_factory.mktemp("attacks"), []
    host = TinyHost(folder / "data")
    host.about = lambda: {"model": "tiny", "family": "SD1"}
    config = settings(pictures(folder / "pics"), train={"max_train_steps": 1})
    train(host, config)
    app = App(lambda: host)
    server = standalone.serve(TabContext(app))

    @server.middleware("http")
    async def noted(request, call_next):
        answer = await call_next(request)
        calls.append((request.method, request.url.path, answer.status_code))
        return answer

    with served(server) as address:
        yield folder, config | {"overwrite": True}, app, address, calls


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "other.example"], ids=["another port", "another name", "another site"])
def test_another_sites_page(place, tmp_path, name):
    folder, config, app, address, calls = place
    before = tree(folder)
    calls.clear()
    with served(site()) as elsewhere, browser(tmp_path / "profile", RESOLVES) as own, own.page() as page:
        page.open(elsewhere.replace("127.0.0.1", name))
        page.until("document.body && document.body.innerText === 'cats'")
        answers = page.run(filled(TRY, address, config))
    assert len(calls) > 30 and {status for _, _, status in calls} == {403}, calls
    assert {name for name, answer in answers.items() if answer.startswith("read")} == set(), answers
    assert answers["socket"] == "refused"
    assert tree(folder) == before and not app.context.queue.current


def test_a_name_that_was_made_to_mean_this_machine(place, tmp_path):
    folder, config, app, address, _ = place
    before = tree(folder)
    with browser(tmp_path / "profile", RESOLVES) as own, own.page() as page:
        page.open(address.replace("127.0.0.1", REBOUND))
        page.until("document.body && document.body.innerText.includes('was called under the name')")
        assert set(page.run(filled(READ_AS_OWN, config=config)).values()) == {403}
    assert tree(folder) == before and not app.context.queue.current
