"""How gradients become steps: all together, or group by group, after the backward pass or in the middle of it."""

from lib_sdtune import optim
from lib_sdtune.config import Config
from lib_sdtune.methods.base import Method
from lib_sdtune.training.optimisation.group_by_group import AfterBackward, InBackward
from lib_sdtune.training.optimisation.queued import Queued
from lib_sdtune.training.optimisation.together import Together
from lib_sdtune.training.parallel import World
from lib_sdtune.training.precision import LossScale


def choose(config: Config, method: Method, scale: LossScale, world: World) -> Together:
    """The way that suits: group by group where the method wants that and the optimiser does not need all at once."""
    if not method.fused_backward or optim.needs_all(config.train.optimizer):
        queued = world.size == 1 and optim.skips_by_itself(config.train, method.model.device)
        way: type[Together] = Queued if queued else Together
    elif world.size > 1 or config.train.gradient_accumulation_steps > 1:
        way = AfterBackward
    else:
        way = InBackward
    return way(config, method, scale, world)
