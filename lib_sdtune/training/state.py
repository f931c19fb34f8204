"""State files, `state/stepNNNNNNNN.safetensors`: what learns, the optimizer's tensors, and everything else as JSON in
the header.

No generator state is in it: chance is a function of the step (`lib_sdtune.randomness`).
"""

import json
import logging
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from lib_sdtune.formats import tensors as safetensors

log = logging.getLogger("sdtune")
LARGE = 2**30  # bytes
OF_THE_DEVICE = ("fused", "foreach", "capturable")  # how a step is computed; another device or torch has another way


def path_of(folder: Path, step: int) -> Path:
    return folder / "state" / f"step{step:08d}.safetensors"


def newest(folder: Path) -> Path | None:
    """The last whole state of a run folder, or None."""
    paths = sorted((folder / "state").glob("step*.safetensors"), reverse=True)
    return next((path for path in paths if is_complete(path, path.stat().st_mtime_ns, path.stat().st_size)), None)


@lru_cache(maxsize=256)
def is_complete(path: Path, changed_at: int, size: int) -> bool:
    """Whether a file has all the bytes that its header speaks of; a disk may lose some. Read once for each version."""
    try:
        file = safetensors.Stored(path)
    except (OSError, ValueError, struct.error, AttributeError):
        log.warning("%s is damaged and left aside", path)
        return False
    return file.start + max((entry["data_offsets"][1] for entry in file.entries.values()), default=0) == size


def save(folder: Path, step: int, learned: Mapping[str, torch.Tensor], optimizer_step: Any, extra: dict[str, Any]
         ) -> Path:
    """Write the state of `step` atomically, then drop all older ones, but for the last if it is small; its path."""
    stored, plain = optimizer_step.state()
    tensors = {f"learned.{name}": tensor for name, tensor in learned.items()} | stored
    header = {"sdtune_state": json.dumps({"step": step, "optimizer": plain, **extra}, sort_keys=True)}
    path = path_of(folder, step)
    safetensors.write(path, tensors, header)
    for old in sorted((folder / "state").glob("step*.safetensors"))[:-states_to_keep(path.stat().st_size)]:
        with suppress(OSError):  # on Windows somebody may be reading it; it goes with the next ones
            old.unlink(missing_ok=True)
    return path


def states_to_keep(size: int) -> int:
    """How many states of that many bytes stay on the disk."""
    return 2 if size < LARGE else 1


def load(path: Path) -> tuple[safetensors.Stored, dict[str, Any]]:
    """(learned tensors, everything else) of a state file; tensors are read when they are asked for."""
    learned = safetensors.Stored(path, "learned.")
    return learned, json.loads(learned.metadata["sdtune_state"]) | {
        "optimizer_tensors": safetensors.Stored(path, "optimizer.")
    }


def optimizer_tensors(optimizer: torch.optim.Optimizer, numbered: Sequence[int] | None = None
                      ) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """(name -> tensor, plain numbers) of an optimizer's state. numbered: its parameters' numbers, if not 0, 1, 2, ...
    """
    state = optimizer.state_dict()
    stored = {}
    plain: dict[str, Any] = {"state": {}, "groups": [numbers(group) for group in state["param_groups"]]}
    for index, slots in state["state"].items():
        number = numbered[index] if numbered else index
        for slot, value in unpacked(slots):
            if isinstance(value, torch.Tensor):
                stored[f"optimizer.{number}.{slot}"] = value
            else:
                plain["state"].setdefault(str(number), {})[slot] = value
    return stored, plain


def unpacked(slots: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """(slot, value), also of slots that are packed into one: bitsandbytes >= 0.49.2 does so, and takes either form."""
    for slot, value in slots.items():
        if isinstance(value, dict):
            yield from value.items()
        else:
            yield slot, value


def numbers(group: dict[str, Any]) -> dict[str, Any]:
    """A parameter group without its parameters; what JSON cannot hold is made anew by the constructor."""
    return {
        key: value
        for key, value in group.items()
        if key != "params" and isinstance(value, int | float | bool | str | list | tuple)
    }


def slots(training_state: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """parameter's number -> {slot: value} of a loaded state."""
    by_number = {int(index): dict(values) for index, values in training_state["optimizer"]["state"].items()}
    for name, tensor in training_state["optimizer_tensors"].items():
        index, slot = name.split(".", 1)
        by_number.setdefault(int(index), {})[slot] = tensor
    return by_number


def restore_optimizer(
    optimizer: torch.optim.Optimizer, slots: dict[int, dict[str, Any]], groups: Sequence[dict[str, Any]] = ()
) -> None:
    """Give an optimizer its slots, numbered from 0, and the numbers of its groups."""
    fresh = optimizer.state_dict()
    groups = [old | {key: value for key, value in saved.items() if key not in OF_THE_DEVICE and key != "params"}
              for old, saved in zip(fresh["param_groups"], groups or fresh["param_groups"], strict=True)]
    for group in groups:
        group.update({key: tuple(value) for key, value in group.items() if isinstance(value, list) and key == "betas"})
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
