"""What the form recommends follows the model, also where there is none for a while, as long as one is being loaded."""

import pytest

from lib_sdtune.app import App
from lib_sdtune.ui import standalone
from lib_sdtune.ui.context import TabContext
from tests.hosts import TinyHost
from tests.ui.browser import CHROMIUM, RESTORED, opened, served, type_in

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
RESOLUTION = "document.querySelector('#sdtune_dataset_resolution input').value"
RECOMMENDED = {"small": 512, "large": 1024}
CHANGED = "document.querySelector('#sdtune_changes_count').textContent"


class Exchanging:
    """A host whose model the test exchanges; `model` is "" while there is none."""

    def __init__(self, folder, model):
        self.host, self.model = TinyHost(folder), model
        self.host.about = lambda settings=None: {"model": self.model, "family": "SD1"} if self.model else {}

    def defaults(self):
        return {"dataset": {"resolution": RECOMMENDED[self.model]}} if self.model else {}


@pytest.fixture
def exchanging(tmp_path, request):
    return Exchanging(tmp_path / "data", getattr(request, "param", "small"))


@pytest.fixture
def form(exchanging, page):
    """The page of that host."""
    with served(standalone.serve(TabContext(App(lambda: exchanging.host), defaults=exchanging.defaults))) as url:
        yield opened(page, url)


@pytest.mark.parametrize("exchanging", ["small", ""], ids=["another model", "no model yet"], indirect=True)
def test_a_model_that_took_time_to_load_brings_its_recommendations(form, exchanging):
    form.until(f"{RESTORED} && !!sdtune.view.about && {RESOLUTION} === '512'")
    exchanging.model = ""
    form.until("!sdtune.view.about.model")
    exchanging.model = "large"
    form.until(f"{RESOLUTION} === '1024'")


def test_the_way_back_leads_to_what_the_model_of_now_recommends(form, exchanging):
    back = "document.querySelector('#sdtune_dataset_resolution .sdtune-back')"
    form.until(f"{RESTORED} && !!sdtune.view.about")
    type_in(form, "sdtune_dataset_resolution", "640")
    form.until(f"{back}?.title === 'Back to 512'")
    exchanging.model = "large"
    form.until(f"{back}.title === 'Back to 1024' && {RESOLUTION} === '640'")
    form.run(f"{back}.click()")
    form.until(f"{RESOLUTION} === '1024' && !{back}")


def test_what_was_typed_and_is_recommended_now_is_no_change(form, exchanging):
    form.until(f"{RESTORED} && !!sdtune.view.about")
    type_in(form, "sdtune_dataset_resolution", "1024")
    form.until(f"{CHANGED} === 'Settings changed: 1'")
    exchanging.model = "large"
    form.until(f"{CHANGED} === 'Settings changed: 0' && document.querySelector('#sdtune_changes').hidden")
