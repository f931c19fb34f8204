"""A GPU that is full, or lost, while others' code has it."""

import importlib
import sys
from types import SimpleNamespace

import pytest
import torch

from lib_sdtune.errors import RunError


def test_a_lack_of_memory_is_no_extensions_fault(webui, monkeypatch):
    """Its code only asked for what was not there any more."""
    from lib_sdtune.host.webui.extensions import blame, ownership

    monkeypatch.setattr(ownership, "failing_in", lambda error: 'the extension "tiles"')
    for error in (torch.cuda.OutOfMemoryError("CUDA out of memory."), RuntimeError("CUDA error: an illegal memory access was encountered")):
        with pytest.raises(type(error), match="^CUDA"), blame.extension_named():
            raise error
    with pytest.raises(RunError, match='extension "tiles" failed'), blame.extension_named():
        raise ValueError("no such tile")


@pytest.fixture
def interrogating(webui, monkeypatch):
    """The module beside a tagger that notes what becomes of it, also where the stand-in has none."""
    import modules
    from modules import shared

    done = []
    tagger = SimpleNamespace(start=lambda: done.append("start"), stop=lambda: done.append("stop"), tag_multi=lambda image: done.append("tag") or "cat")
    fake = SimpleNamespace(model=tagger, done=done)
    monkeypatch.setitem(sys.modules, "modules.deepbooru", fake)
    monkeypatch.setattr(modules, "deepbooru", fake, raising=False)
    monkeypatch.delitem(sys.modules, "lib_sdtune.host.webui.interrogating", raising=False)
    monkeypatch.setattr(shared.sd_model, "lowvram", False)
    yield importlib.import_module("lib_sdtune.host.webui.interrogating"), fake
    del sys.modules["lib_sdtune.host.webui.interrogating"]


NO_OPTIONS = SimpleNamespace()


def test_a_tagger_that_finds_no_room_is_taken_off_the_card(host, interrogating):
    module, fake = interrogating

    def start():
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    fake.model.start = start
    with pytest.raises(torch.cuda.OutOfMemoryError), module.interrogator("deepbooru", NO_OPTIONS, host.lock, lambda: None):
        pass
    assert fake.done == ["stop"]


def test_with_medvram_the_model_leaves_the_card_for_a_tagger(host, interrogating, monkeypatch):
    from modules import lowvram, shared

    module, fake = interrogating
    monkeypatch.setattr(shared.sd_model, "lowvram", True)
    monkeypatch.setattr(lowvram, "send_everything_to_cpu", lambda: fake.done.append("away"))
    with module.interrogator("deepbooru", NO_OPTIONS, host.lock, lambda: None) as describe:
        assert describe(None) == "cat"
    assert fake.done == ["away", "start", "away", "tag", "stop"]
