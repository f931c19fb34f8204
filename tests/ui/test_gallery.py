"""The samples' strip in a real browser: where it stands, and what is said of it."""

import pytest

from tests.ui.browser import CHROMIUM, opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

STRIP = "document.querySelector('.sdtune-strip')"
AT_END = f"Math.abs({STRIP}.scrollWidth - {STRIP}.clientWidth - {STRIP}.scrollLeft) < 2"
SETTLED = "new Promise((done) => setTimeout(done, 500))"


def sized(page, width):
    page.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    page.run(SETTLED)


@pytest.mark.parametrize(("first", "then"), [(1300, 1000), (420, 900), (1000, 420)])
def test_the_newest_samples_stay_in_view_when_the_room_changes(page, url, first, then):
    sized(page, first)
    opened(page, url).until("document.querySelectorAll('.sdtune-step').length > 4")
    page.run(SETTLED)
    assert page.run(AT_END) and page.run(f"{STRIP}.scrollWidth > {STRIP}.clientWidth")
    sized(page, then)
    assert page.run(AT_END), page.run(f"[{STRIP}.scrollLeft, {STRIP}.scrollWidth, {STRIP}.clientWidth]")


def test_who_has_scrolled_back_stays_there(page, url):
    opened(page, url).until("document.querySelectorAll('.sdtune-step').length > 4")
    page.run(f"{STRIP}.scrollLeft = 0, {SETTLED}")
    sized(page, 1000)
    assert page.run(f"{STRIP}.scrollLeft") == 0


def test_that_fewer_were_drawn_is_said_above_them(page, url):
    opened(page, url).until(f"!!{STRIP}")
    page.run("sdtune.gallery.draw({...sdtune.view.run, samples_note: 'Samples are drawn at fewer'})")
    assert "Samples are drawn at fewer" in page.run("document.querySelector('#sdtune_gallery').textContent")
