"""Whether training on the device is right: (passed, detail) of each."""

import gc
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch

from benchmarks.gpu.models import METHODS, CannotBeHad, RandomHost, bits, config_of, random_model, same_bits
from lib_sdtune.config import Config
from lib_sdtune.devices import empty_cache, float16_is_broken, has_bfloat16, index_of, total_memory
from lib_sdtune.errors import RunError, UserError
from lib_sdtune.failures import OUT_OF_MEMORY
from lib_sdtune.training.control import Control
from lib_sdtune.training.cuda_graphs import CudaGraphs
from lib_sdtune.training.memory.estimate import CAREFUL, estimate, room
from lib_sdtune.training.objective import Objective
from lib_sdtune.training.run import run
from lib_sdtune.training.runs import RunFolder, begin

SPARE = {"full": 2**26, "tiny": 2**16}  # bytes that a full device still has
TOLERANCE = 0.05  # of the loss, between half precision and float32


def losses(control: Control) -> list[float]:
    return [row["loss"] for row in RunFolder(control.folder).log()]


def whole_run(host: RandomHost, config: Config, resume: bool = False, stop_at: int = 0,
              keep: bool = True) -> list[float]:
    """The losses of a run, or of the part of it up to a step. keep: whether it leaves files. RuntimeError where it
    would wait for somebody to make room on the disk, CannotBeHad where the device ran out of memory and is too small.
    """
    pauses = []

    def watch(control: Control) -> None:
        if control.state == "paused":
            pauses.append(control.message)
            control.request("stop_without_saving")
        if stop_at and control.state == "training" and control.step == stop_at:
            control.request("interrupt")
        if not keep and control.state == "training" and control.step == config.train.max_train_steps:
            control.request("stop_without_saving")

    control = begin(config, host, resume, watch)
    try:
        run(config, host, control)
    except RunError as error:
        if str(error) == OUT_OF_MEMORY and is_too_small(host, config):
            raise CannotBeHad(f"the device is too small: {error}") from error
        raise
    finally:
        if pauses:
            raise RuntimeError(pauses[0])
    return losses(control)


def is_too_small(host: RandomHost, config: Config, more: int = 0) -> bool:
    """Whether the device is, as far as an estimate can tell, where `more` bytes are needed than usual."""
    spec = host.model.spec()
    return spec.device.type == "cuda" and estimate(config, spec) + more > CAREFUL * room(spec.device)


def halves_of(device: torch.device) -> dict[str, torch.dtype]:
    """{the setting's name: the half precision} of those that the device computes in."""
    halves = {}
    if device.type != "cpu" and not float16_is_broken(device):
        halves["fp16"] = torch.float16
    if has_bfloat16(device):
        halves["bf16"] = torch.bfloat16
    return halves


def precision(method: str) -> Callable[[torch.device, str, Path], tuple[bool, str]]:
    def check(device: torch.device, size: str, work: Path) -> tuple[bool, str]:
        halves, results = halves_of(device), {}
        if not halves:
            raise CannotBeHad("this device computes in float32 alone")
        for name, dtype in {"no": torch.float32, **halves}.items():
            host = RandomHost(random_model("sd1", size, device, dtype), work / name)
            before = bits(host.model)
            config = config_of(host.model, work / name, method, train={"max_train_steps": 3, "mixed_precision": name})
            # DreamBooth's files of full size are 16 GB each time
            results[name] = whole_run(host, config, keep=method != "dreambooth")
            shutil.rmtree(work / name, ignore_errors=True)
            if not same_bits(host.model, before):
                return False, f"{name}: the model did not come back as it was"
            del host
            gc.collect()  # so that there is room for the next one
        worst = max(
            abs(half - full) / full for name in halves for half, full in zip(results[name], results["no"], strict=True)
        )
        good = math.isfinite(worst) and worst < TOLERANCE
        return good, f"{', '.join(halves)}: losses differ from float32's by {worst:.2%}"

    return check


@contextmanager
def full(device: torch.device, size: str) -> Iterator[None]:
    """The device takes next to nothing more; where there is no such limit, it says so at once."""
    if device.type == "cuda":
        gc.collect()  # what is freed later would be room
        empty_cache(device)
        share = (torch.cuda.memory_allocated(device) + SPARE[size]) / total_memory(device)
        torch.cuda.set_per_process_memory_fraction(share, index_of(device))
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, index_of(device))
        return
    with mock.patch.object(Objective, "predict", side_effect=torch.cuda.OutOfMemoryError("CUDA out of memory.")):
        yield


def out_of_memory(method: str) -> Callable[[torch.device, str, Path], tuple[bool, str]]:
    def check(device: torch.device, size: str, work: Path) -> tuple[bool, str]:
        dtype = torch.float32 if device.type == "cpu" else torch.float16
        host = RandomHost(random_model("sd1", size, device, dtype), work)
        before, config = bits(host.model), config_of(host.model, work, method, train={"max_train_steps": 2})
        refused = False
        with full(device, size):
            try:
                whole_run(host, config)
            except (RunError, UserError):
                refused = True
        good = refused and same_bits(host.model, before)
        return good, "refused, and bit-equal afterwards" if refused else "it had room"

    return check


def resumed(device: torch.device, size: str, work: Path) -> tuple[bool, str]:
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    host = RandomHost(random_model("sd1", size, device, dtype), work)
    settings = {"train": {"max_train_steps": 4}, "save": {"state_every_n_steps": 1}}
    whole = whole_run(RandomHost(host.model, work / "whole"), config_of(host.model, work / "whole", "lora", **settings))
    broken = RandomHost(host.model, work / "broken")
    config = config_of(host.model, work / "broken", "lora", **settings)
    whole_run(broken, config, stop_at=2)
    again = whole_run(broken, config, resume=True)
    worst = max(abs(loss - resumed_loss) / loss for loss, resumed_loss in zip(whole, again, strict=True))
    return worst < 1e-3, "the same losses" if not worst else f"losses differ by {worst:.1e}"


def graphs(method: str) -> Callable[[torch.device, str, Path], tuple[bool, str]]:
    """The same losses with CUDA graphs as without, from a model of the same weights; on a GPU, and recorded there."""

    def check(device: torch.device, size: str, work: Path) -> tuple[bool, str]:
        dtype = torch.float32 if device.type == "cpu" else torch.float16
        model, results, usable = random_model("sd1", size, device, dtype), {}, []

        class Noted(CudaGraphs):
            """Tells whether its recordings could be used."""

            def record(self, key: tuple, tensors: Sequence[torch.Tensor]) -> bool:
                usable.append(super().record(key, tensors))
                return usable[-1]

        for recorded in (False, True):
            host = RandomHost(model, work / str(recorded))
            before = bits(model)
            settings = {"max_train_steps": 8, "gradient_checkpointing": "off", "cuda_graphs": recorded}
            config = config_of(model, work / str(recorded), method, train=settings)
            with mock.patch("lib_sdtune.training.cuda_graphs.CudaGraphs", Noted):
                results[recorded] = whole_run(host, config, keep=method != "dreambooth")
            shutil.rmtree(work / str(recorded), ignore_errors=True)
            if not same_bits(model, before):
                return False, "the model did not come back as it was"
        # a graph of a whole model has all of its gradients
        gradients = sum(tensor.nbytes for tensor in before.values()) if method == "dreambooth" else 0
        if not usable and is_too_small(host, config, gradients):
            raise CannotBeHad("the device is too small for graphs of this")
        if device.type == "cuda" and not (usable and all(usable)):
            return False, "no graph was kept"
        pairs = zip(results[False], results[True], strict=True)
        worst = max(abs(loss - recorded_loss) / loss for loss, recorded_loss in pairs)
        return worst < TOLERANCE, f"losses differ from those without by {worst:.1e}"

    return check


CHECKS = {f"{method} in half precision": precision(method) for method in METHODS}
CHECKS |= {f"{method} on a full device": out_of_memory(method) for method in METHODS}
CHECKS |= {f"{method} with CUDA graphs": graphs(method) for method in ("lora", "dreambooth")}
CHECKS["resume"] = resumed
