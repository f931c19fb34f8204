"""Another site's page attacks the running WebUI, in a real browser: SD Tune neither starts, stops, reads nor writes for it.

Run it against a WebUI that is open, one with --listen, one with --gradio-auth and one with --api-auth.
"""

import pytest

from tests.ui.attacks import READ_AS_OWN, REBOUND, RESOLVES, TRY, filled, own_events, site
from tests.ui.browser import CHROMIUM, browser, served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture
def events(webui):
    """What SD Tune's part of the page can be asked for; nothing where the page itself wants a login."""
    status, page = webui.call("/config")
    return own_events(page) if status == 200 else []


@pytest.mark.parametrize("name", ["localhost", "other.example"], ids=["another name", "another site"])
def test_another_sites_page(webui, config, events, tmp_path, name):
    before = webui.tune("/runs")
    with served(site()) as elsewhere, browser(tmp_path / "profile", RESOLVES) as own, own.page() as page:
        page.open(elsewhere.replace("127.0.0.1", name))
        page.until("!!document.body && document.body.innerText === 'cats'")
        answers = page.run(filled(TRY, f"{webui.url}/", config, events))
    assert {name for name, answer in answers.items() if answer.startswith("read")} == set(), answers
    assert webui.tune("/runs") == before and config["name"] not in str(before)


def test_a_name_that_was_made_to_mean_this_machine(webui, config, events, tmp_path):
    before, address = webui.tune("/runs"), webui.url.replace("127.0.0.1", REBOUND)
    with browser(tmp_path / "profile", RESOLVES) as own, own.page() as page:
        page.open(f"{address}/info")
        page.until("!!document.body")
        answers = page.run(filled(READ_AS_OWN, config=config))
        page.run(filled(TRY, f"{address}/", config, events))
    assert {answers[path] for path in ("/sdtune/v1/runs", "/sdtune/v1/schema", "start")} <= {401, 403}, answers
    assert webui.tune("/runs") == before and config["name"] not in str(before)


def test_no_key_in_what_everybody_can_read(webui):
    status, page = webui.call("/config")
    assert status != 200 or "X-SD-Tune" not in str(page) and "sdtune_key" not in str(page)
