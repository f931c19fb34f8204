"""Runs in the queue in a real browser: what is said of them, and the way back of one that was cancelled."""

import pytest

from tests.ui.browser import CHROMIUM, opened
from tests.ui.test_browser import BUTTON, QUEUE, SHOWN

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


def test_a_run_that_was_cancelled_in_the_queue_is_called_so_and_can_be_queued_again(page, url):
    opened(page, url, QUEUE).until(f"!!{BUTTON.format('two', 'Cancel')}")
    assert page.run(BUTTON.format("two", "Retry")) is None
    page.run("Object.assign(sdtune_pretended[1], {state: 'stopped', cancelled: true, place: 0}); sdtune.refresh()")
    page.until(f"!!{BUTTON.format('two', 'Retry')}")
    assert "Cancelled" in page.run("document.querySelector('[data-run=two]').textContent")
    page.run(f"{BUTTON.format('two', 'Retry')}.click()")
    page.until("sdtune_calls.includes('POST runs/two/retry')")
    page.run("sdtune.choose('two')")
    page.until(f"{SHOWN.format('two')} && document.querySelector('#sdtune_state').textContent === 'Cancelled'")


def test_while_one_that_waits_is_shown_the_one_that_is_on_has_its_place(page, url):
    next_run = "(document.querySelector('#sdtune_next').hidden ? '' : document.querySelector('#sdtune_next_text').textContent)"
    opened(page, url, QUEUE).until(SHOWN.format("one"))
    assert page.run(next_run) == ""
    page.run("sdtune.choose('three')")
    page.until(f"{SHOWN.format('three')} && {next_run} === 'one is training, step 3 / 9'")
    page.run("sdtune_pretended[0].step = 5")
    page.until(f"{next_run} === 'one is training, step 5 / 9'")
    page.run("document.querySelector('#sdtune_next_show').click()")
    page.until(f"{SHOWN.format('one')} && {next_run} === ''")


def test_the_question_before_a_run_is_deleted_says_what_stays(page, url):
    delete = BUTTON.format("old", "Delete")
    opened(page, url, QUEUE).until(f"!!{delete}")
    page.run("sdtune_pretended[3].artefacts = ['/webui/models/Lora/old.safetensors']; sdtune.refresh()")
    page.until("sdtune.view.runs.find((run) => run.id === 'old').artefacts.length === 1")
    page.run(f"{delete}.click()")
    assert page.run(f"{delete}.textContent") == "Really? old.safetensors stays in models/Lora. Click again"
    assert not page.run("sdtune_calls")


def test_no_loss_is_plotted_before_there_is_one(page, url):
    hidden = "document.querySelector('#sdtune_loss_plot').hidden"
    opened(page, url, QUEUE).until(SHOWN.format("one"))
    assert page.run(f"(sdtune.plot.draw([], {{id: 'one', state: 'preparing'}}), {hidden})")
    assert not page.run(f"(sdtune.plot.draw([{{step: 1, loss: 0.1}}], {{id: 'one', state: 'training'}}), {hidden})")


def test_when_no_run_matches_any_more_it_is_said_and_one_button_shows_all(page, url):
    seen = "document.querySelector('#sdtune_runs_none').offsetParent !== null"
    opened(page, url, QUEUE).until(f"!!{BUTTON.format('old', 'Delete')}")
    assert not page.run(seen)
    page.run("""(() => {
        const search = document.querySelector('#sdtune_runs_search');
        search.value = 'old';
        search.dispatchEvent(new Event('input'));
    })()""")
    page.until("document.querySelectorAll('[data-run]').length === 1")
    assert not page.run(seen)
    page.run("sdtune_pretended.splice(3, 1); sdtune.refresh()")
    page.until(seen)
    page.run("document.querySelector('#sdtune_runs_every_run').click()")
    page.until("document.querySelectorAll('[data-run]').length === 3")
    assert not page.run(seen) and page.run("document.querySelector('#sdtune_runs_search').value") == ""
    assert page.run("document.activeElement.id") == "sdtune_runs_every"  # of so few runs there is no search
