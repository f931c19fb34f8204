"""Everything of the WebUI's that would spoil a training, put aside meanwhile: one concern per file, in one stack.

Each concern is a context manager of the loaded model that leaves it exactly as it was found.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

from torch import nn

from lib_sdtune.host.webui.extensions import hooks
from lib_sdtune.host.webui.neutral import (
    alternative_unet,
    attention,
    backends,
    checkpointing,
    conditioning_cache,
    hypernetworks,
    layers,
    norms,
    number_format,
    placement,
    prompt_loras,
    rng,
    storage,
    tiling,
    timestep_embedding,
    token_embedding,
    token_merging,
    upcasting,
)

Concern = Callable[[nn.Module], AbstractContextManager[None]]
CONCERNS = (
    rng.restored,
    backends.restored,
    storage.trainable,
    hooks.none,
    alternative_unet.off,
    token_merging.off,
    prompt_loras.off,
    layers.plain,
    norms.in_float32,
    hypernetworks.off,
    token_embedding.plain,
    tiling.off,
    upcasting.off,
    attention.differentiable,
    timestep_embedding.on_device,
    number_format.of_weights,
    checkpointing.off,
    conditioning_cache.cleared,
)


@contextmanager
def neutral(sd_model: nn.Module, idle: Collection[str] = (), more: Sequence[Concern] = ()) -> Iterator[None]:
    """The model bare and fit for training; the WebUI's own state again afterwards, whatever happens. idle: see
    `placement`. more: concerns of this WebUI's fork alone.
    """
    with ExitStack() as stack:
        for concern in (*CONCERNS, *more):
            stack.enter_context(concern(sd_model))
        stack.enter_context(placement.on_device(sd_model, idle))
        yield
