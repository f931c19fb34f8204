"""Where memory runs out in places other than a step, and a GPU that is lost, on a pretended one (`tests.pretended`)."""

import pytest
import torch

from lib_sdtune import failures
from lib_sdtune.errors import DiskFull, RunError, UserError
from lib_sdtune.formats.backup import TensorBackup
from lib_sdtune.methods.lent_weights import LentWeights
from lib_sdtune.training.memory import free
from lib_sdtune.training.optimizer_steps.optimizer_step import OptimizerStep
from lib_sdtune.training.room_to_draw import LEFT_OUT
from lib_sdtune.training.runs import RunFolder
from tests.hosts import pictures, settings, train
from tests.pretended import pretended_cuda
from tests.pretended.hosts import CardHost

RAM = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000 bytes. Error code 12"
LOST = "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported at some other API call"


@pytest.fixture
def card():
    with pretended_cuda() as card:
        yield card


@pytest.fixture
def images(tmp_path):
    return pictures(tmp_path / "2_ron", size=(64, 64))


def short(images, method="dreambooth", steps=2, **changes):
    rates = {"lora": {"dim": 4, "unet_lr": 1e-3}, "dreambooth": {"unet_lr": 1e-4}}[method]
    return settings(images, method=method, train={"max_train_steps": steps} | changes.pop("train", {}), save={"state_every_n_steps": 0},
                    dataset={"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 64}, **{method: rates | changes.pop(method, {})}, **changes)


def message(host):
    return RunFolder(host.folder("sdtune") / "runs" / "ron").status()["message"]


def rows(control):
    return [row["loss"] for row in RunFolder(control.folder).log()]


class Drawing(CardHost):
    """While it draws, `spare` bytes of the card are free beside the training, and each picture takes `takes`."""

    def __init__(self, data_dir, card, takes, dtype=torch.float16, spare=2**16):
        super().__init__(data_dir, dtype)
        self.card, self.takes, self.spare, self.tries = card, takes, spare, 0

    def generate(self, requests):
        self.tries += 1
        if self.card.limit is None:
            self.card.fill(self.spare)
        for request in requests:
            if self.takes:
                torch.empty(self.takes, dtype=torch.uint8, device="cuda")
            yield from super().generate([request])

    def yield_to_queue(self, detached, waiting=lambda whom: None):
        self.card.limit = None


SAMPLES = {"prompts": ["a cat", "a dog"], "every_n_steps": 1}


def samples_of(host):
    return sorted(path.name for path in (host.folder("sdtune") / "runs" / "ron" / "samples").glob("*.png"))


@pytest.mark.parametrize("changes", [{}, {"dreambooth": {"weights": "bfloat16", "ema_decay": 0.9}}], ids=["copies", "rounded, average"])
def test_what_the_optimizer_remembers_makes_room_for_a_sample(card, tmp_path, images, changes):
    config = short(images, sample=SAMPLES, **changes)
    roomy, cramped = Drawing(tmp_path / "roomy", card, 0), Drawing(tmp_path / "cramped", card, 400_000)
    expected = rows(train(roomy, config))
    assert rows(train(cramped, config)) == expected
    assert samples_of(cramped) == samples_of(roomy) and cramped.tries > roomy.tries
    assert cramped.untouched()


def test_a_sample_that_finds_no_room_ends_no_training(card, tmp_path, images, caplog):
    cramped = Drawing(tmp_path / "cramped", card, 2**30)
    assert train(cramped, short(images, "lora", sample=SAMPLES)).state == "finished" and cramped.untouched()
    assert not samples_of(cramped) and LEFT_OUT in caplog.text


def test_an_error_of_another_kind_ends_it_still(card, tmp_path, images, monkeypatch):
    monkeypatch.setattr(CardHost, "generate", lambda host, requests: fails("no such sampler"))
    with pytest.raises(RunError, match="no such sampler"):
        train(CardHost(tmp_path, torch.float16), short(images, "lora", sample=SAMPLES))


def fails(words, kind=RuntimeError):
    raise kind(words)


def test_class_pictures_that_find_no_room_are_told_of_in_their_own_words(card, tmp_path, images):
    host = Drawing(tmp_path / "data", card, 2**30)
    concept = {"images": str(images), "prompt": "a ron cat", "class_prompt": "a cat", "class_images": str(tmp_path / "cats"), "num_class_images": 2}
    with pytest.raises(RunError, match="no room to draw class pictures of 64 x 64"):
        train(host, short(images, concepts=[concept]))
    assert "batch size" not in message(host) and "batch size" not in failures.explain(message(host))["change"].lower()


def test_main_memory_too_small_for_the_optimizer_leaves_it_where_it_is(card, tmp_path, images, monkeypatch):
    """A Linux that is asked for more than it has ends the whole program."""
    monkeypatch.setattr("lib_sdtune.training.optimizer_steps.optimizer_step.free_memory", lambda device: 1000)
    cramped = Drawing(tmp_path / "cramped", card, 400_000)
    monkeypatch.setattr(OptimizerStep, "move_state", lambda *_: pytest.fail("moved"))
    assert train(cramped, short(images, sample=SAMPLES)).state == "finished" and cramped.untouched()


def test_main_memory_that_is_full_as_well_costs_the_sample_alone(card, tmp_path, images, monkeypatch, caplog):
    cramped, move = Drawing(tmp_path / "cramped", card, 400_000), OptimizerStep.move_state
    monkeypatch.setattr(OptimizerStep, "move_state", lambda step, device: fails(RAM) if device == "cpu" else move(step, device))
    assert train(cramped, short(images, sample=SAMPLES)).state == "finished" and cramped.untouched()
    assert LEFT_OUT in caplog.text


def test_an_average_that_main_memory_has_no_room_for_is_refused(card, tmp_path, images, monkeypatch):
    monkeypatch.setattr(free, "of_proc", lambda path, key: 1000)
    with pytest.raises(UserError, match='running average of the weights needs .* of the computer.s memory .*"dreambooth.ema_decay" to 0'):
        train(CardHost(tmp_path / "data", torch.float16), short(images, dreambooth={"ema_decay": 0.9}))


# the model goes back

def test_an_optimizer_that_cannot_be_freed_keeps_no_model(card, tmp_path, images, monkeypatch):
    host = CardHost(tmp_path / "data", torch.float16)
    monkeypatch.setattr(OptimizerStep, "release", lambda step: fails(RAM))
    with pytest.raises(RunError):
        train(host, short(images))
    assert host.untouched() and message(host) == failures.RAM_FULL


def test_nothing_is_copied_to_main_memory_to_be_thrown_away(card, tmp_path, images):
    """The optimizer's own weights of SDXL are ten gigabytes."""
    host, copied = CardHost(tmp_path / "data", torch.float16), []
    release = OptimizerStep.release

    def watched(step):
        with card.counting() as counts:
            release(step)
        copied.append(counts.total("downloads"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OptimizerStep, "release", watched)
        train(host, short(images))
    assert copied == [0] and host.untouched()


def test_main_memory_that_is_full_while_room_is_made_leaves_readable_weights(card, tmp_path, images, monkeypatch):
    """The originals find room neither on the card nor, for what stands in their place, elsewhere."""
    host = CardHost(tmp_path / "data", torch.float32)
    host.yields = True
    put_in_originals = LentWeights.put_in_originals

    def taken(self):
        card.limit = 0
        try:
            put_in_originals(self)
        finally:
            card.limit = None

    monkeypatch.setattr(LentWeights, "put_in_originals", taken)
    monkeypatch.setattr(OptimizerStep, "move_state", lambda *_: fails(RAM))
    with pytest.raises(RunError, match="could not be put back"):
        train(host, short(images, dreambooth={"weights": "bfloat16"}))
    assert all(torch.equal(tensor.cpu(), host.bare[f"{part}.{name}"].cpu())
               for part, module in host.model.modules() for name, tensor in module.state_dict().items())


def test_a_gpu_that_is_lost_is_told_of_as_such(card, tmp_path, images, monkeypatch):
    """Every call fails from then on, those that put the checkpoint back among them."""
    host, original = CardHost(tmp_path / "data", torch.float32), torch.UntypedStorage.resize_

    def resize(storage, size):
        return fails(LOST) if size else original(storage, size)

    def begin(step, number, total, begin=OptimizerStep.begin):
        if number == 1:
            monkeypatch.setattr(torch.UntypedStorage, "resize_", resize)
            fails(LOST)
        begin(step, number, total)

    monkeypatch.setattr(OptimizerStep, "begin", begin)
    with pytest.raises(RunError, match="Restart the WebUI"):
        train(host, short(images, dreambooth={"weights": "bfloat16"}))
    assert "illegal memory access" in message(host) and "choose another checkpoint" not in message(host)
    assert all(tensor.untyped_storage().nbytes() for _, module in host.model.modules() for tensor in module.parameters())


def test_a_sample_that_found_no_room_for_the_lent_format_is_told_as_that(card, tmp_path, images, monkeypatch):
    """Another program takes the memory between a weight's being freed and its coming back in the host's format."""
    host, exchange, calls = CardHost(tmp_path / "data", torch.float16), LentWeights.exchange, []

    def exchanged(self, name, values, dtype):
        calls.append(name)
        card.limit = 0 if len(calls) == 2 else None
        exchange(self, name, values, dtype)

    monkeypatch.setattr(LentWeights, "exchange", exchanged)
    with pytest.raises(RunError):
        train(host, short(images, sample=SAMPLES))
    assert message(host) == failures.OUT_OF_MEMORY and host.untouched()


def test_a_full_disk_copies_no_weights_that_are_kept_anyhow(card, tmp_path, images, monkeypatch):
    """While a picture is drawn float32 copies stay on the card; ten gigabytes of main memory more would be SDXL's."""
    host, kept = CardHost(tmp_path / "data", torch.float16), []
    host.yields = True
    monkeypatch.setattr(TensorBackup, "write", lambda backup, tensors, write=TensorBackup.write: write(backup, tensors)
                        if backup.path.name == "originals.safetensors" else fails("The disk is full.", DiskFull))
    monkeypatch.setattr(LentWeights, "store_trained", lambda lent, store=LentWeights.store_trained: store(lent) or kept.append(lent.values_to_load))
    expected = rows(train(CardHost(tmp_path / "other", torch.float16), short(images)))
    assert rows(train(host, short(images))) == expected and kept and not any(kept) and host.untouched()


# what is said

@pytest.mark.parametrize("error", [MemoryError(), RuntimeError(RAM), OSError(12, "Cannot allocate memory"),
                                   RuntimeError("[enforce fail at alloc_cpu.cpp:72] . DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
                                   OSError("The paging file is too small for this operation to complete. (os error 1455)")])
def test_main_memory_is_not_called_the_gpus(error):
    assert failures.out_of_memory(error) and failures.sentence(error) == failures.RAM_FULL
    assert "batch size 1 and gradient" not in failures.explain(failures.RAM_FULL)["change"].lower()
    assert failures.fault(error) == failures.RAM_FULL_HERE


def test_a_full_gpu_outside_a_run_is_no_fault_of_ours():
    assert failures.fault(torch.cuda.OutOfMemoryError("CUDA out of memory.")) == failures.GPU_FULL_HERE
    assert "Restart the WebUI" in failures.fault(RuntimeError(LOST))
    assert "fault of SD Tune" in failures.fault(RuntimeError("something else"))


def test_a_lost_gpu_is_no_lack_of_memory():
    assert not failures.out_of_memory(RuntimeError(LOST)) and failures.is_gpu_lost(RuntimeError(LOST))
    assert "Restart" in failures.explain(failures.sentence(RuntimeError(LOST)))["change"]
