"""ldm's own gradient checkpointing asks for gradients of frozen weights and fails; the trainer brings its own."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

from lib_sdtune.swap import replaced


@contextmanager
def off(sd_model: nn.Module) -> Iterator[None]:
    with ExitStack() as stack:
        for module in sd_model.modules():
            for switch in ("use_checkpoint", "checkpoint"):
                if vars(module).get(switch) is True:
                    stack.enter_context(replaced(module, switch, False))
        yield
