"""Living together: generations between two steps, pauses, and a queue in which nobody is forgotten."""

import sys
import threading
import time
from contextlib import contextmanager, nullcontext

import pytest
import torch
import webui_probe

from lib_sdtune.host.base import SampleRequest
from lib_sdtune.host.webui import token_counters
from lib_sdtune.host.webui.lock import QueueLock
from lib_sdtune.networks.base import Adapter, applied
from lib_sdtune.sections.model import Model
from tests.waiting import until


class Generate(threading.Thread):
    """A user who presses Generate; `.picture` is what comes out."""

    def __init__(self, prompt="a cat", seed=1):
        super().__init__(daemon=True)
        self.prompt, self.seed, self.picture = prompt, seed, None
        self.start()

    def run(self):
        self.picture = webui_probe.draw(self.prompt, self.seed)


def test_a_generation_passes_between_two_steps_as_if_no_training_were_on(host):
    webui_probe.make_lora("between")
    plain, dressed = webui_probe.draw(seed=7), webui_probe.draw("a cat <lora:between:1>", seed=7)
    before, reasons, entered = webui_probe.fingerprint(), [], []

    @contextmanager
    def detached():
        entered.append("out")
        yield
        entered.append("in")

    with host.borrow(Model()) as model:
        bare = webui_probe.weight().weight.clone()
        torch.manual_seed(123)
        expected = torch.randn(3)
        torch.manual_seed(123)
        users = [Generate(seed=7), Generate("a cat <lora:between:1>", seed=7)]
        until(lambda: len(host.lock.lock._pending_threads) == 2)
        host.yield_to_queue(detached, reasons.append)
        assert all(user.picture is not None for user in users)
        assert not webui_probe.free()
        assert torch.equal(webui_probe.weight().weight, bare) and torch.equal(torch.randn(3), expected)
        assert type(model.text_encoders[0].text_model.embeddings.token_embedding) is torch.nn.Embedding
        host.yield_to_queue(detached, reasons.append)
    assert reasons == ["a generation", ""] and entered == ["out", "in"]
    assert (users[0].picture == plain).all() and (users[1].picture == dressed).all()
    assert (webui_probe.draw(seed=7) == plain).all() and (webui_probe.draw("a cat <lora:between:1>", seed=7) == dressed).all()
    changed = webui_probe.differences(before, webui_probe.fingerprint())
    assert not [key for key in changed if key.startswith(("weights", "flags", "attention", "models", "options"))]


class Compare(threading.Thread):
    """One of ours that borrows the model and draws while a run lends it, as a comparison of files does."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.host, self.answers, self.error = host, [], None
        self.start()

    def run(self):
        request = SampleRequest("a cat", steps=webui_probe.STEPS, cfg_scale=4, seed=7, width=webui_probe.SIZE, height=webui_probe.SIZE, sampler="Euler")
        try:
            with self.host.borrow(Model()) as model:
                self.answers += [model.unet, *self.host.generate([request])]
            self.answers += self.host.generate([request])  # as its grids are drawn, without borrowing
        except BaseException as error:
            self.error = error


def test_a_comparison_and_a_training_take_turns(host):
    before = webui_probe.fingerprint()
    with host.borrow(Model()) as model:
        mine = model.unet
        comparison = Compare(host)
        while comparison.is_alive() and comparison.error is None:
            until(lambda: host.lock.waiting() or not comparison.is_alive())
            host.yield_to_queue(nullcontext)
            assert host.borrowed.loaded_model is model and not webui_probe.free()
            host.generate([])
        assert comparison.error is None and comparison.answers[0] is mine and len(comparison.answers) == 3
        with host.with_webui_state():
            pass
    changed = webui_probe.differences(before, webui_probe.fingerprint())
    assert not [key for key in changed if key.startswith(("weights", "flags", "module", "attention", "models", "options"))]


def test_settings_that_wait_for_a_run_are_not_made_when_a_comparison_ends(host):
    """They would be refused, noted, and tried again without end."""
    from lib_sdtune.host.webui.deferred import Change

    host.deferred.changes["CLIP_stop_at_last_layers"] = change = Change(1)
    with host.borrow(Model()):
        comparison = Compare(host)
        while comparison.is_alive():
            until(lambda: host.lock.waiting() or not comparison.is_alive())
            host.yield_to_queue(nullcontext)
        assert comparison.error is None and change.state == "waiting"
    assert change.state == "done"


class CountTokens(threading.Thread):
    """The prompt's token counter, as the page asks for it after a pause in typing."""

    def __init__(self):
        super().__init__(daemon=True)
        self.start()

    def run(self):
        from modules.call_queue import wrap_queued_call

        def update_token_counter():
            pass

        wrap_queued_call(update_token_counter)()


def test_token_counters_wait_for_each_other_and_never_hold_a_generation_up(host, monkeypatch):
    """The model is given back before each turn: a prompt that somebody types must not cost a training a turn a second."""
    monkeypatch.setattr(token_counters, "SHARE", 1e-9)
    turns = []

    @contextmanager
    def detached():
        turns.append("out")
        yield

    with host.borrow(Model()):
        counters = [CountTokens()]
        until(host.lock.waiting)
        host.yield_to_queue(detached)
        counters += [CountTokens(), CountTokens()]
        until(lambda: len(host.lock.lock._pending_threads) == 2)
        host.yield_to_queue(detached)
        assert turns == ["out"] and host.lock.waiting()
        user = Generate()
        until(lambda: len(host.lock.lock._pending_threads) == 3)
        host.yield_to_queue(detached)
        assert turns == ["out", "out"] and not host.lock.waiting()
        until(lambda: user.picture is not None)
        host.turns.next = 0.0
        monkeypatch.setattr(type(shared_options()), "sdtune_breathe", False, raising=False)
        counters.append(CountTokens())
        until(host.lock.waiting)
        host.yield_to_queue(detached)
    for counter in counters:
        counter.join(timeout=30)
        assert not counter.is_alive()
    assert turns == ["out"] * 3


class Slow(threading.Thread):
    """Somebody who is told that it is his turn, on a machine too busy to let him take it at once."""

    def __init__(self, lock, monkeypatch):
        super().__init__(daemon=True)
        self.lock, self.served = lock, False
        event = threading.Event

        class LateEvent(event):
            def wait(self, timeout=None):
                super().wait(timeout)
                time.sleep(0.5)

        monkeypatch.setattr(sys.modules[type(lock).__module__].threading, "Event", LateEvent)
        self.start()
        until(lambda: lock._pending_threads)
        monkeypatch.setattr(sys.modules[type(lock).__module__].threading, "Event", event)

    def run(self):
        with self.lock:
            self.served = True


def test_nobody_who_was_told_that_it_is_his_turn_is_overtaken(host, monkeypatch):
    """He stands in no queue then, and nobody would see him until the training ends."""
    with host.borrow(Model()):
        slow = Slow(host.lock.lock, monkeypatch)
        host.yield_to_queue(nullcontext)
        assert slow.served


def shared_options():
    from modules import shared

    return shared.opts


def test_breathing_can_be_switched_off(host, monkeypatch):
    monkeypatch.setattr(type(shared_options()), "sdtune_breathe", False, raising=False)
    with host.borrow(Model()):
        user = Generate()
        until(host.lock.waiting)
        host.yield_to_queue(None)
        assert user.picture is None
    user.join(timeout=30)
    assert user.picture is not None


def test_a_paused_run_leaves_the_model_to_others(host, unchanged_weights):
    pictures = []

    @contextmanager
    def detached():
        yield

    def resting():
        pictures.append(webui_probe.draw(seed=len(pictures)))
        return len(pictures) < 2

    with host.borrow(Model()):
        host.pause(detached, resting)
        assert not webui_probe.free()
    assert len(pictures) == 2


@pytest.fixture
def unchanged_weights(host):
    before = webui_probe.fingerprint()
    yield
    assert not [key for key in webui_probe.differences(before, webui_probe.fingerprint()) if key.startswith(("weights", "flags", "module"))]


def test_reload_ui_takes_the_lora_extension_out_and_in_under_the_run(host):
    networks, patches = sys.modules["networks"], sys.modules["lora_patches"]
    webui_probe.make_lora("after")
    plain, dressed = webui_probe.draw(seed=7), webui_probe.draw("a cat <lora:after:1>", seed=7)
    layer, x = webui_probe.weight(), torch.ones(1, webui_probe.weight().in_features)

    def answered():
        with torch.no_grad():
            return layer(x)

    with host.borrow(Model()), applied([(layer, Wide(layer))]):
        answer = answered()
        networks.originals.undo()
        assert torch.equal(answered(), answer)
        between = list(host.generate([SampleRequest("a cat", steps=2, width=webui_probe.SIZE, height=webui_probe.SIZE)]))
        networks.originals = patches.LoraPatches()
        assert torch.equal(answered(), answer) and len(between) == 1
    assert (webui_probe.draw("a cat <lora:after:1>", seed=7) == dressed).all() and (webui_probe.draw(seed=7) == plain).all()


class Wide(Adapter):
    def __init__(self, layer):
        super().__init__(layer, 1, 1.0)
        self.width = layer.out_features

    def forward(self, x):
        return x.mean(-1, keepdim=True).expand(*x.shape[:-1], self.width)


def queue_lock():
    from modules.fifo_lock import FIFOLock

    return QueueLock(FIFOLock())


def test_waiting_can_be_given_up_and_leaves_no_one_holding(host):
    lock = queue_lock()
    lock.lock.acquire()

    class Enough(Exception):
        pass

    def on_wait():
        raise Enough

    with pytest.raises(Enough):
        lock.acquire(on_wait)
    lock.release()
    until(lambda: lock.lock.acquire(blocking=False))


def test_those_who_wait_are_served_first(host):
    lock, order = queue_lock(), []
    lock.acquire()

    def user(name):
        with lock.lock:
            order.append(name)

    threads = []
    for name in ("first", "second"):
        threads.append(threading.Thread(target=user, args=(name,)))
        threads[-1].start()
        until(lambda: len(lock.lock._pending_threads) == len(threads))
    lock.hand_over()
    order.append("training")
    lock.release()
    assert order == ["first", "second", "training"]
