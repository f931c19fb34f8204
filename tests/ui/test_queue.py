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
