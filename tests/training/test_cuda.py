"""What would break on a GPU, on a pretended one (`tests.pretended`)."""

from contextlib import suppress
from datetime import timedelta

import pytest
import torch

from lib_sdtune import devices
from lib_sdtune.devices import local_device
from lib_sdtune.errors import RunError, UserError
from lib_sdtune.failures import OUT_OF_MEMORY, sentence
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.methods import registry as methods
from lib_sdtune.methods.lent_weights import LentWeights
from lib_sdtune.optim.master_weights import plan
from lib_sdtune.randomness import seed_layers
from lib_sdtune.training.host_copy import HostCopy
from lib_sdtune.training.memory.free import free_memory
from lib_sdtune.training.memory.meter import capacity
from lib_sdtune.training.objective import Objective
from lib_sdtune.training.optimizer_steps.optimizer_step import OptimizerStep
from lib_sdtune.training.parallel import World
from lib_sdtune.training.runs import RunFolder
from lib_sdtune.training.trainer import Trainer
from tests.hosts import pictures, settings, train
from tests.pretended import kernels, pretended_cuda
from tests.pretended.hosts import CardHost

SETTINGS = {"lora": {"dim": 4, "alpha": 4, "unet_lr": 1e-3, "text_encoder_lr": 1e-3}, "dreambooth": {"unet_lr": 1e-4, "text_encoder_lr": 1e-5},
            "textual_inversion": {"token": "cat", "init_text": "cat", "num_vectors_per_token": 2}, "hypernetwork": {"lr": 1e-3}}


@pytest.fixture
def card():
    with pretended_cuda() as card:
        yield card


@pytest.fixture
def images(tmp_path):
    return pictures(tmp_path / "2_ron", size=(64, 64))


def short(images, method="lora", steps=2, **changes):
    changes = {key: dict(value) for key, value in changes.items()}
    merged = {"train": {"max_train_steps": steps, "batch_size": 2} | changes.pop("train", {}),
              "dataset": {"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 64} | changes.pop("dataset", {}),
              "save": {"state_every_n_steps": 0, "precision": "float"} | changes.pop("save", {}), method: SETTINGS[method] | changes.pop(method, {})}
    return settings(images, method=method, **merged, **changes)


def losses(control):
    return [row["loss"] for row in RunFolder(control.folder).log()]


@pytest.fixture
def strict(monkeypatch):
    """Fused optimizers compare strides as torch 2.1 does."""
    monkeypatch.setattr(kernels, "STRICT", [True])


@pytest.mark.parametrize("method, layout", [("lora", torch.contiguous_format), ("dreambooth", torch.channels_last)])
def test_fused_adamw_takes_every_gradient_and_every_restored_moment(card, strict, tmp_path, images, method, layout):
    whole, broken = (CardHost(tmp_path / name, torch.float16, layout) for name in ("whole", "broken"))
    expected = losses(train(whole, short(images, method, 2)))

    def stop_at_one(control):
        if control.state == "training" and control.step == 1:
            control.request("interrupt")

    train(broken, short(images, method, 2), watch=stop_at_one)
    assert losses(train(broken, short(images, method, 2), resume=True)) == expected
    assert whole.untouched() and broken.untouched()



def filled_at(monkeypatch, card, owner, name, call=1):
    """From that call of owner.name on the card takes nothing more."""
    calls, original = [], getattr(owner, name)

    def counted(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            card.fill()
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)


PHASES = {"forward": (Objective, "predict", 2), "backward": (OptimizerStep, "backward", 2), "optimizer": (OptimizerStep, "rounding_seed", 1),
          "sample": (CardHost, "generate", 1), "save": (Trainer, "save", 1)}
WAYS = [("lora", {}), ("textual_inversion", {}), ("hypernetwork", {}), ("dreambooth", {}), ("dreambooth", {"weights": "bfloat16"})]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("method, changes", WAYS, ids=["lora", "embedding", "hypernetwork", "dreambooth", "dreambooth-bfloat16"])
def test_a_full_card_leaves_the_lent_model_bit_for_bit(card, tmp_path, images, monkeypatch, method, changes, phase):
    host = CardHost(tmp_path / "data", torch.float16)
    queued = phase == "optimizer"
    filled_at(monkeypatch, card, *(torch.optim.AdamW, "step", 1) if queued else PHASES[phase])
    steps = 3 if phase in ("sample", "save") else 2  # files that are due at the last step are the run's own
    config = short(images, method, steps, **{method: changes}, sample={"every_n_steps": 2}, save={"every_n_steps": 2})
    with suppress(RunError):  # what needs no memory may well succeed
        train(host, config)
    assert host.untouched() and (phase in ("sample", "save") or card.failures)
    if card.failures:
        assert RunFolder(host.folder("sdtune") / "runs" / "ron").status()["message"] == OUT_OF_MEMORY


def test_weights_that_find_no_room_on_the_card_are_in_main_memory(card, tmp_path, images, monkeypatch):
    """Another program has taken the card's memory for good: a sentence, and numbers that can be read."""
    host = CardHost(tmp_path / "data", torch.float32)
    put_in_originals = LentWeights.put_in_originals

    def taken(self):
        card.limit = 0
        put_in_originals(self)

    monkeypatch.setattr(LentWeights, "put_in_originals", taken)
    emptied = []
    monkeypatch.setattr(Trainer, "make_room", lambda trainer, make_room=Trainer.make_room: emptied.append(1) or make_room(trainer))
    with pytest.raises(RunError, match="another program has taken the GPU's memory"):
        train(host, short(images, "dreambooth", 1, dreambooth={"weights": "bfloat16"}))
    card.limit = None
    assert len(emptied) == 1  # once for all tensors: it looks through the whole program's memory
    now = {f"{part}.{name}": tensor for part, module in host.model.modules() for name, tensor in module.state_dict().items()}
    assert all(torch.equal(now[name].cpu(), tensor.cpu()) for name, tensor in host.bare.items())


@pytest.mark.parametrize("changes", [{}, {"weights": "bfloat16"}], ids=["copies", "rounded"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_generation_gets_the_model_back_on_a_full_card(card, tmp_path, images, monkeypatch, dtype, changes):
    """Float32 weights that learn in bfloat16 need more room than they left: the optimizer's memory goes away meanwhile."""
    host = CardHost(tmp_path / "data", dtype)
    host.yields, host.while_lent = True, lambda: setattr(card, "limit", None)
    expected = losses(train(CardHost(tmp_path / "other", dtype), short(images, "dreambooth", 3, dreambooth=changes)))
    filled_at(monkeypatch, card, LentWeights, "put_in_originals")
    assert losses(train(host, short(images, "dreambooth", 3, dreambooth=changes))) == expected and host.untouched()


def test_memory_is_asked_of_a_numbered_device(card):
    assert free_memory(torch.device("cuda")) and capacity(torch.device("cuda"))  # torch 2.1 refuses a device without a number


@pytest.mark.parametrize("method", methods.names())
def test_no_mixed_precision_is_float32(card, tmp_path, images, method):
    """The same losses as a float32 model with the same numbers, and none of the gradients that float16 would lose."""
    half, full = CardHost(tmp_path / "half", torch.float16), CardHost(tmp_path / "full", torch.float16)
    for _, module in full.model.modules():
        module.float()
    config = short(images, method, 2, train={"mixed_precision": "no"})
    assert losses(train(half, config)) == pytest.approx(losses(train(full, config)), rel=1e-3)
    assert half.untouched()


@pytest.mark.parametrize("device", ["mps", "privateuseone"])
def test_devices_without_autocast_compute_in_float32(device):
    device = torch.device(device)
    assert devices.compute_dtype("auto", device, torch.float16) == torch.float32
    with pytest.raises(UserError, match="float32 only"):
        devices.compute_dtype("fp16", device, torch.float16)


def test_bfloat16_by_emulation_is_not_taken():
    old = torch.device("cuda")
    with pretended_cuda(capability=(7, 5), name="NVIDIA GeForce RTX 2080"):
        assert torch.cuda.is_bf16_supported() and not devices.has_bfloat16(old)
        assert devices.compute_dtype("auto", old, torch.float32) == torch.float32
        assert devices.compute_dtype("auto", old, torch.float16) == torch.float16
        assert plan("auto", old, torch.float16, 1000)[0] == torch.float16
        with pytest.raises(UserError, match="bfloat16"):
            devices.compute_dtype("bf16", old, torch.float16)
    with pretended_cuda(capability=(7, 5), name="NVIDIA GeForce GTX 1660"):
        assert devices.compute_dtype("auto", old, torch.float16) == torch.float32


@pytest.mark.parametrize("words", [
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
    "FIND was unable to find an engine to execute this computation",
    "GET was unable to find an engine to execute this computation",
    "Unable to find a valid cuDNN algorithm to run convolution",
    "Native API failed. Native API returns: -5 (PI_ERROR_OUT_OF_RESOURCES) -5 (PI_ERROR_OUT_OF_RESOURCES)",
    "MPS backend out of memory (MPS allocated: 17.00 GB)",
])
def test_libraries_say_in_other_words_that_memory_ran_out(words):
    """cuDNN's catches what each way to convolve lacked, and raises that it knows none."""
    assert sentence(RuntimeError(words)) == OUT_OF_MEMORY


def test_layers_are_seeded_on_the_device_that_trains():
    with pretended_cuda(count=2) as card:
        seed_layers(torch.device("cuda", 1), 1, "dropout", 3)
        assert [number for number, _ in card.seeds] == [1]


def test_numbers_are_waited_for_on_the_card_that_makes_them(monkeypatch):
    """The WebUI's --device-id trains on another card than the current one."""
    with pretended_cuda(count=2) as card:
        torch.cuda.set_device(1)
        recorded_on = []
        monkeypatch.setattr(torch.cuda.Event, "record", lambda event: recorded_on.append(card.current))
        monkeypatch.setattr(torch.cuda.Event, "synchronize", lambda event: card.arrive())
        assert HostCopy([torch.ones(2).to("cuda"), 3.0]).numbers() == [[1.0, 1.0], [3.0]]
        assert recorded_on == [0] and card.current == 1


def test_a_copy_to_the_computer_arrives_when_it_is_waited_for(card):
    """Of the pretended card: whoever reads earlier reads nothing, and what is queued later is not waited for."""
    ones, threes = torch.ones(2).to("cuda"), torch.full((2,), 3.0).to("cuda")
    first, second = HostCopy([ones]), HostCopy([threes])
    assert first.copy.isnan().all() and first.numbers() == [[1.0, 1.0]]
    assert second.copy.isnan().all() and second.numbers() == [[3.0, 3.0]]
    by_itself = ones.to("cpu", non_blocking=True)
    assert by_itself.isnan().all()
    torch.cuda.synchronize()
    assert by_itself.tolist() == [1.0, 1.0]


def test_what_is_not_pinned_is_waited_for(card):
    """Of the pretended card, as by CUDA's driver; and what cannot be pinned."""
    with card.counting() as counts:
        torch.ones(2).to("cuda", non_blocking=True)
        assert counts.total("syncs") == 1
        devices.upload(torch.ones(2), card.device)
        assert counts.total("syncs") == 1
    for tensor in (torch.ones(2).to("cuda"), torch.ones(1, 2).expand(3, 2)):
        with pytest.raises(RuntimeError):
            tensor.pin_memory()
    pinned = torch.ones(2).pin_memory()
    assert pinned.is_pinned() and pinned.pin_memory() is pinned and not torch.ones(2).is_pinned()


@pytest.mark.parametrize("rank", [0, 1])
def test_each_process_of_torchrun_has_a_gpu_of_its_own(monkeypatch, tmp_path, rank):
    for name, value in {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    with pretended_cuda(count=2) as card:
        assert EmbeddedHost(tmp_path).device == torch.device("cuda", rank)
        settings = {}
        monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, **named: settings.update(named))
        World()
        assert card.current == rank
        assert settings["timeout"] > timedelta(hours=6), "one process draws class pictures and samples while all others wait"
    with pretended_cuda(count=1), pytest.raises(UserError, match="nproc-per-node"):
        local_device(rank + 1)


def test_a_save_before_the_first_update_of_the_average_holds_what_was_learned(card, tmp_path, images):
    host = CardHost(tmp_path / "data", torch.float16)
    control = train(host, short(images, "dreambooth", 3, dreambooth={"ema_decay": 0.9}))
    assert control.state == "finished" and control.artefacts
