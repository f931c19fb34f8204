"""How gradients become steps: all together, or group by group, after the backward pass or in the middle of it."""

from lib_sdtune import optim
from lib_sdtune.config import Config
from lib_sdtune.methods.base import Method
from lib_sdtune.training.optimizer_steps.grouped_step import FusedBackwardStep, GroupedStepAfterBackward
from lib_sdtune.training.optimizer_steps.optimizer_step import OptimizerStep
from lib_sdtune.training.optimizer_steps.sync_free_step import SyncFreeStep
from lib_sdtune.training.parallel import World
from lib_sdtune.training.precision import LossScale


def choose(config: Config, method: Method, scale: LossScale, world: World) -> OptimizerStep:
    """The way that suits: group by group where the method wants that and the optimizer does not need all at once."""
    if not method.fused_backward or optim.needs_all(config.train.optimizer):
        train = config.train
        sync_free = world.size == 1 and optim.supports_found_inf(train.optimizer, train.optimizer_args,
                                                                 method.model.device)
        way: type[OptimizerStep] = SyncFreeStep if sync_free else OptimizerStep
    elif world.size > 1 or config.train.gradient_accumulation_steps > 1:
        way = GroupedStepAfterBackward
    else:
        way = FusedBackwardStep
    return way(config, method, scale, world)
