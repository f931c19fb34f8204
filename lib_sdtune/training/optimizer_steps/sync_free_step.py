"""All gradients in one step that nothing waits for."""

import torch

from lib_sdtune.config import Config
from lib_sdtune.methods.base import Method
from lib_sdtune.optim import foreach
from lib_sdtune.training.optimizer_steps.gradients import shortening, total_norm
from lib_sdtune.training.optimizer_steps.optimizer_step import OptimizerStep
from lib_sdtune.training.optimizer_steps.outcome import Outcome
from lib_sdtune.training.parallel import World
from lib_sdtune.training.precision import LossScale


class SyncFreeStep(OptimizerStep):
    """Nothing waits for the device: what is not finite is left out by the optimizer itself, told by a tensor."""

    def __init__(self, config: Config, method: Method, scale: LossScale, world: World) -> None:
        super().__init__(config, method, scale, world)
        self.scale = scale.on(method.model.device)

    @torch.no_grad()
    def step(self) -> Outcome:
        self.prepare_gradients()
        grads = [trained.value.grad for trained in self.trained_weights if trained.value.grad is not None]
        norm = total_norm(grads) / self.scale.scale
        finite = torch.isfinite(norm)
        foreach.mul_(grads, shortening(norm, self.limit, self.scale.scale))
        self.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]  # torch's steps look for it
        self.optimizer.step()
        if self.halves:
            self.halves.refresh()
        self.drop_gradients()
        return Outcome(norm, finite, self.scale.update(finite))
