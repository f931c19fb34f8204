"""The add-on on the model while it trains, and off it in the middle of a step or for somebody else."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from lib_sdtune.host.base import LoadedModel
from lib_sdtune.methods.base import Method
from lib_sdtune.training import precision
from lib_sdtune.training.memory.checkpointing import checkpointed, wants_checkpointing


class Attachment:
    """A context manager: inside, the model is frozen but for the method's add-on, which it wears; afterwards it is
    bare.

    checkpointing: the setting, "auto", "on" or "off". compute: what the forward runs in; where that is float32, so are
    the weights meanwhile.
    """

    def __init__(self, method: Method, model: LoadedModel, checkpointing, compute):
        self.method, self.model = method, model
        self.full_precision = precision.FullPrecision(method.predicting_modules() if compute == torch.float32 else [])
        self.recomputing = wants_checkpointing(checkpointing, model.device)

    def __enter__(self):
        with ExitStack() as stack:
            stack.enter_context(precision.frozen(self.model))
            stack.enter_context(self.full_precision)
            stack.enter_context(checkpointed(self.model.unet, self.recomputing))
            self.adapter = stack.enter_context(ExitStack())
            self.adapter.enter_context(self.method.attached())
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self.stack.close()

    @contextmanager
    def without_adapter(self) -> Iterator[None]:
        """The model without its add-on, in the middle of a step."""
        self.adapter.close()
        try:
            yield
        finally:
            self.adapter.enter_context(self.method.attached())

    @contextmanager
    def in_lent_precision(self) -> Iterator[None]:
        """The model in the number format that its owner draws with, the add-on still on it."""
        with self.full_precision.suspended():
            yield

    @contextmanager
    def detached(self) -> Iterator[None]:
        """The bare model, for somebody else to use; attached again on exit."""
        self.method.before_detach()
        self.stack.close()
        try:
            yield
        finally:
            self.__enter__()
