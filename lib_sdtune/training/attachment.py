"""The add-on on the model while it trains, and off it in the middle of a step or for somebody else."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.lora_tools.base_loras import BaseLoras
from lib_sdtune.methods.base import Method
from lib_sdtune.training import layer_norms, precision
from lib_sdtune.training.convolutions import fastest_convolutions
from lib_sdtune.training.cuda_graphs import CudaGraphs, NoGraphs
from lib_sdtune.training.memory.checkpointing import checkpointed
from lib_sdtune.training.memory.offloaded_parts import OffloadedParts


class Attachment:
    """A context manager: inside, the model is frozen and the method's add-on is attached; afterwards the model is bare.

    base_loras: are on the model before and after, and leave it with everything else when somebody else uses it.
    recomputing: whether activations are made anew in the backward pass. compute: what the forward runs in; where that
    is float32, so are the weights that steps ask for. offloaded_parts: of the model, that are moved out of the GPU's
    memory meanwhile. cuda_graphs: around the UNet with all of that on it.
    """

    def __init__(self, method: Method, model: LoadedModel, recomputing: bool, compute: torch.dtype,
                 offloaded_parts: OffloadedParts, base_loras: BaseLoras, cuda_graphs: NoGraphs | CudaGraphs) -> None:
        self.method, self.model, self.offloaded_parts, self.base_loras = method, model, offloaded_parts, base_loras
        self.cuda_graphs = cuda_graphs
        self.compute, self.recomputing = compute, recomputing

    def __enter__(self) -> "Attachment":
        with ExitStack() as stack:
            stack.enter_context(precision.frozen(self.model))
            stack.enter_context(fastest_convolutions(self.model.device))
            stack.enter_context(self.offloaded_parts)
            predicting = self.method.predicting_modules() if self.compute == torch.float32 else []
            present = [module for module in predicting if module not in self.offloaded_parts.moved]
            self.full_precision = stack.enter_context(precision.FullPrecision(present))
            text_layers = [layer for tower in self.model.towers for layer in tower.blocks]
            stack.enter_context(layer_norms.in_half_precision([self.model.unet, *text_layers]))
            stack.enter_context(checkpointed(self.model.unet, self.recomputing, text_layers))
            self.addon = stack.enter_context(ExitStack())
            self.addon.enter_context(self.method.attached())
            stack.enter_context(self.cuda_graphs)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.close()

    @contextmanager
    def without_addon(self) -> Iterator[None]:
        """The model without its add-on, in the middle of a step."""
        with self.cuda_graphs.aside():
            self.addon.close()
        try:
            yield
        finally:
            with self.cuda_graphs.aside():
                self.addon.enter_context(self.method.attached())

    @contextmanager
    def in_lent_precision(self) -> Iterator[None]:
        """The model as its owner draws with it, in that number format and all there, the add-on still on it."""
        with self.full_precision.suspended(), self.offloaded_parts.on_gpu():
            yield

    @contextmanager
    def detached(self) -> Iterator[None]:
        """The bare model, for somebody else to use; attached again on exit."""
        self.method.before_detach()
        self.stack.close()
        try:
            with self.base_loras.suspended():
                yield
        finally:
            self.__enter__()
