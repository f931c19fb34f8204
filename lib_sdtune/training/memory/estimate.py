"""What a step would need, by arithmetic: told before anything was measured, and called an estimate."""

from collections.abc import Collection

import torch

from lib_sdtune import devices
from lib_sdtune.config import Config
from lib_sdtune.devices import HALVES, compute_dtype
from lib_sdtune.loaded_model import ModelSpec
from lib_sdtune.methods import registry as methods
from lib_sdtune.methods.base import Method
from lib_sdtune.training.memory import attention_maps
from lib_sdtune.training.memory.meter import capacity, process
from lib_sdtune.training.memory.offloaded_parts import idle
from lib_sdtune.training.prior import most_twins

BESIDE = 2**29  # bytes: the device's own kernels and what every program holds
DOWNSCALE = 8
# of a GPU's memory may be planned without recomputing: an estimate can be wrong, and pictures are drawn too
CAREFUL = 0.8


def recomputes(config: Config, spec: ModelSpec) -> bool:
    """Whether activations are recomputed. "auto" does so on a GPU where all of them would not fit, or where nobody
    knows; a CPU has the room and lacks the speed.
    """
    setting = config.train.gradient_checkpointing
    if setting != "auto":
        return setting == "on"
    if spec.device.type != "cuda":
        return spec.device.type != "cpu" and devices.can_recompute(spec.device)
    return needed(config, spec, recomputing=False) > CAREFUL * room(spec.device)


def room(device: torch.device) -> int:
    """Bytes of a GPU that are ours or free; all of one that is only spoken of."""
    return (capacity(device) if torch.cuda.is_available() else None) or devices.total_memory(device)


def estimate(config: Config, spec: ModelSpec) -> int:
    """Bytes that a step of `config` would hold in all, the model of the `loaded_model.ModelSpec` included."""
    return needed(config, spec, recomputes(config, spec))


def needed(config: Config, spec: ModelSpec, recomputing: bool) -> int:
    """As `estimate`, with or without recomputing activations."""
    method = methods[config.method]
    parts = resident_parts(config, spec, method, recomputing)
    model = sum(spec.count(part) for part in parts) * spec.dtype.itemsize + BESIDE
    # with the model, where that is loaded already
    process_memory = (process("VmRSS") or 0) if spec.device.type == "cpu" else 0
    return (
        max(model, process_memory)
        + method.memory_bytes(config, spec)
        + second_formats(config, spec, method, parts)
        + activations(config, spec, method, recomputing)
    )


def resident_parts(config: Config, spec: ModelSpec, method: type[Method], recomputing: bool) -> list[str]:
    """The parts of the model that are in the device's memory at a step; see `offloaded_parts`."""
    if not recomputing or not devices.has_own_memory(spec.device):
        return list(spec.shapes)
    waiting = tuple(idle(config, method))
    return [part for part in spec.shapes if not part.startswith(waiting)]


def second_formats(config: Config, spec: ModelSpec, method: type[Method], parts: Collection[str]) -> int:
    """Bytes beyond the lent ones of weights that a step computes in another number format: see
    `precision.FullPrecision`, and autocast, which keeps the UNet's casts.
    """
    dtype = method.weight_dtype(config, spec)
    compute = compute_dtype(config.train.mixed_precision, spec.device, dtype)
    if compute == torch.float32 and spec.dtype in HALVES:
        lent = spec.dtype.itemsize if devices.frees_storages(spec.device) else 0  # where the lent values wait elsewhere
        widened = [part for part in parts if part != "vae" and (part != "unet" or dtype in HALVES)]
        return sum(spec.count(part) for part in widened) * (4 - lent)
    return spec.count("unet") * compute.itemsize if compute != dtype else 0


def activations(config: Config, spec: ModelSpec, method: type[Method], recomputing: bool) -> int:
    compute = compute_dtype(config.train.mixed_precision, spec.device, method.weight_dtype(config, spec))
    channels = spec.shapes["unet"]["input_blocks.0.0.weight"][0]
    pixels = (config.dataset.resolution // DOWNSCALE) ** 2
    examples = config.train.batch_size + most_twins(config)
    kept: float = channels * pixels * spec.family.activations[recomputing]
    if compute in HALVES and not recomputing:
        kept *= method.activations(config)
    if not devices.has_fused_attention(spec.device):
        kept += attention_maps.numbers(spec, pixels, recomputing)
    return int(examples * kept) * compute.itemsize
