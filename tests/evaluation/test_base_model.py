"""Files of a run are compared on what they were trained on, whatever is loaded meanwhile."""

from contextlib import contextmanager

import pytest

from lib_sdtune.errors import UserError
from lib_sdtune.evaluation.any_files import AnyFiles
from lib_sdtune.evaluation.evaluation import Evaluation
from lib_sdtune.evaluation.settings import read
from lib_sdtune.training.runs import RunFolder
from tests.hosts import TinyHost, pictures, settings, train

WANTED = {"prompts": ["a cat", "a dog"], "seeds": [1], "width": 64, "height": 64}


class TwoCheckpoints(TinyHost):
    """Has "toy" and "db", and writes down what is in its model while something is drawn or looked at."""

    def __init__(self, data_dir):
        super().__init__(data_dir)
        self.folder("checkpoints").mkdir(parents=True)
        for name in ("toy", "db"):
            (self.folder("checkpoints") / f"{name}.safetensors").write_bytes(b"weights")
        self.loaded, self.swaps, self.drawn_by, self.waited_for = "toy", [], [], False

    def loaded_file(self):
        return self.folder("checkpoints") / f"{self.loaded}.safetensors"

    def about(self, model_settings=None):
        name = model_settings.checkpoint if model_settings else ""
        return {"model": name.rpartition("/")[2].removesuffix(".safetensors") or self.loaded, "family": "SD1"}

    @contextmanager
    def borrow(self, model_settings, method=None):
        before, self.loaded = self.loaded, self.about(model_settings)["model"]
        self.swaps.append(self.loaded)
        try:
            yield self.model
        finally:
            self.loaded = before

    def generate(self, requests):
        for image in super().generate(requests):
            self.drawn_by.append(self.loaded)
            yield image

    def is_wanted(self):
        return self.waited_for


@pytest.fixture
def host(tmp_path):
    host = TwoCheckpoints(tmp_path / "data")
    train(host, settings(pictures(tmp_path / "2_ron", 1), train={"max_train_steps": 2}, save={"every_n_steps": 1}))
    host.loaded = "db"
    host.swaps.clear(), host.drawn_by.clear()
    return host


@pytest.fixture
def run(host):
    return RunFolder(host.folder("sdtune") / "runs" / "ron")


def test_ranking_and_strength_are_drawn_with_what_was_trained_and_the_user_has_the_own_one_back(host, run):
    result = Evaluation(host, run, read(WANTED)).make()
    assert set(host.drawn_by) == set(host.swaps) == {"toy"} and host.loaded == "db"
    assert result["drawn_with"] == "toy" and "Drawn with toy." in (run.path / "choose" / "index.html").read_text()
    assert result["strength"] and len(host.swaps) == 4  # drawn and judged, twice: not loaded anew for each file


def test_somebody_who_waits_gets_the_model_between_two_files(host, run):
    host.waited_for = True
    Evaluation(host, run, read(WANTED | {"strength": False})).make()
    assert len(host.swaps) == 3 + 1 and set(host.drawn_by) == {"toy"}


def test_another_family_may_be_loaded(host, run):
    about = host.about
    host.about = lambda model=None: about(model) | {"family": "SD1" if about(model)["model"] == "toy" else "SDXL"}
    assert Evaluation(host, run, read(WANTED)).drawn_with == "toy"


def test_without_that_checkpoint_it_is_refused_with_both_names(host, run):
    (host.folder("checkpoints") / "toy.safetensors").unlink()
    with pytest.raises(UserError, match=r"ron were trained on toy\.safetensors, which is not there.* and db is loaded"):
        Evaluation(host, run, read(WANTED))


def test_files_of_no_run_are_drawn_with_what_is_loaded_which_is_named(host):
    files = sorted(host.folder("lora").glob("*.safetensors"))
    result = Evaluation(host, AnyFiles(host, "some", files), read(WANTED)).make()
    assert result["drawn_with"] == "db" and set(host.drawn_by) == {"db"} and not host.swaps
