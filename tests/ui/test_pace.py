"""The line of a run's pace in a real browser."""

import json

import pytest

from lib_sdtune.sentences import coded
from tests.ui.browser import CHROMIUM, opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

SAID = "drawing a picture since 10:45:33"
PACE = "document.querySelector('#sdtune_pace').textContent"


@pytest.mark.parametrize("state", ["training", "preparing"])
def test_since_when_a_picture_is_drawn_is_said_once_and_in_the_page_s_language(page, url, state):
    run = {"id": "ron", "method": "lora", "state": state, "step": 3, "message": SAID, "drawing": SAID, "eta_seconds": None}
    answer = json.dumps(run | {"codes": coded(run)})
    opened(page, url).until(f"{PACE} !== ''")
    drawn = f"(sdtune.status.draw(sdtune.spoken({answer}, 'runs/ron')), {PACE})"
    assert page.run(drawn) == SAID
    page.run("window.localization = {'drawing a picture since {1}': 'Bild seit {1}'}, null")
    assert page.run(drawn) == "Bild seit 10:45:33"
