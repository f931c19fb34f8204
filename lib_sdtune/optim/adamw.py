"""AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), torch's own, fused where the device has it."""

from typing import Any

import torch

from lib_sdtune.optim import registry


@registry.register("AdamW")
def adamw(groups: list[dict[str, Any]], **arguments: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, **({"fused": may_fuse(arguments) and fusible(groups)} | arguments))


def may_fuse(arguments: dict[str, Any]) -> bool:
    """Whether nothing is asked for that torch refuses beside its fused step."""
    return not (arguments.get("foreach") or arguments.get("differentiable"))


adamw.supports_found_inf = lambda arguments: arguments.get("fused", may_fuse(arguments))


def fusible(groups: list[dict[str, Any]]) -> bool:
    """Whether torch steps these parameters in one kernel; on the CPU it can since 2.4, and before that fails at the
    first step.
    """
    devices = {param.device.type for group in groups for param in group["params"]}
    return devices == {"cuda"} or (devices == {"cpu"} and tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 4))
