"""Lion that leaves a step out where a tensor on the device says so, as torch's fused AdamW does: nobody waits for it.

What a step adds lies in one piece of memory for the moment, so that numbers which are not finite are left out in a few
operations, and not in one for every weight.
"""

from collections.abc import Sequence
from typing import Any

import torch

from lib_sdtune.optim.master_weights import length, views


class SyncFreeLion:
    """In front of lion-pytorch's variant over lists of weights, whose state it keeps.

    found_inf: on the device, 1 where the next step changes nothing and 0 where it is Lion's; None: it is.
    """

    found_inf: torch.Tensor | None = None
    param_groups: list[dict[str, Any]]
    state: dict[torch.Tensor, Any]
    decoupled_wd: bool
    _init_lr: float

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        if self.found_inf is None:
            return super().step(closure)  # type: ignore[misc]
        left_out = self.found_inf != 0
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            if params:
                self.step_unless(left_out, group, params)
        return None

    def step_unless(self, left_out: torch.Tensor, group: dict[str, Any], params: Sequence[torch.Tensor]) -> None:
        """Lion's step of some parameters; where `left_out`, each keeps its bits, and its moment its values."""
        beta1, beta2 = group["betas"]
        moments, grads = [self.moment(param) for param in params], [param.grad for param in params]
        piece = torch.empty(length(params), dtype=params[0].dtype, device=params[0].device)
        parts = views(piece, params)
        torch._foreach_copy_(parts, moments)
        torch._foreach_lerp_(parts, grads, 1 - beta1)
        piece.masked_fill_(left_out, 0).sign_()
        decay = self.decay(group)
        if decay:
            torch._foreach_mul_(params, torch.where(left_out, 1.0, 1 - decay))
        torch._foreach_add_(params, parts, alpha=-group["lr"])
        torch._foreach_copy_(parts, grads)
        torch._foreach_sub_(parts, moments)
        piece.masked_fill_(left_out, 0)
        torch._foreach_add_(moments, parts, alpha=1 - beta2)

    def moment(self, param: torch.Tensor) -> torch.Tensor:
        if not self.state[param]:
            self.state[param]["exp_avg"] = torch.zeros_like(param)
        return self.state[param]["exp_avg"]

    def decay(self, group: dict[str, Any]) -> float:
        """What a step takes off a weight, as a share of it."""
        decay = group["lr"] * group["weight_decay"]
        return decay / self._init_lr if self.decoupled_wd else decay
