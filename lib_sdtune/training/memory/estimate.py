"""What a step would need, by arithmetic: told before anything was measured, and called an estimate."""

import torch

from lib_sdtune.config import Config
from lib_sdtune.devices import compute_dtype
from lib_sdtune.host.base import ModelSpec
from lib_sdtune.methods import registry as methods
from lib_sdtune.methods.base import Method
from lib_sdtune.training.memory.checkpointing import wants_checkpointing
from lib_sdtune.training.memory.idle_parts import idle
from lib_sdtune.training.memory.meter import process
from lib_sdtune.training.prior import most_twins

BESIDE = 2**29  # bytes: the device's own kernels and what every program holds
DOWNSCALE = 8


def estimate(config: Config, spec: ModelSpec) -> int:
    """Bytes that a step of `config` would hold in all, the model of the `host.base.ModelSpec` included."""
    method = methods[config.method]
    model = sum(spec.count(part) for part in resident_parts(config, spec, method)) * spec.dtype.itemsize + BESIDE
    # with the model, where that is loaded already
    process_memory = (process("VmRSS") or 0) if spec.device.type == "cpu" else 0
    return max(model, process_memory) + method.memory_bytes(config, spec) + activations(config, spec, method)


def resident_parts(config: Config, spec: ModelSpec, method: type[Method]) -> list[str]:
    """The parts of the model that are in the device's memory at a step; see `idle_parts`."""
    on = wants_checkpointing(config.train.gradient_checkpointing, spec.device)
    compute = compute_dtype(config.train.mixed_precision, spec.device, method.weight_dtype(config, spec))
    if spec.device.type == "cpu" or not on or compute == torch.float32:
        return list(spec.shapes)
    waiting = tuple(idle(config, method))
    return [part for part in spec.shapes if not part.startswith(waiting)]


def activations(config: Config, spec: ModelSpec, method: type[Method]) -> int:
    dtype = method.weight_dtype(config, spec)
    compute = compute_dtype(config.train.mixed_precision, spec.device, dtype)
    on = wants_checkpointing(config.train.gradient_checkpointing, spec.device)
    channels = spec.shapes["unet"]["input_blocks.0.0.weight"][0]
    pixels = (config.dataset.resolution // DOWNSCALE) ** 2
    examples = config.train.batch_size + most_twins(config)
    casts = spec.count("unet") * compute.itemsize if compute != dtype else 0  # the weights are kept in both formats
    return examples * channels * pixels * spec.family.activations[on] * compute.itemsize + casts
