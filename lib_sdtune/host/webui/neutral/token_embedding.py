"""The WebUI looks embeddings up inside the token embedding of its text encoders; training reads the plain table."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

from lib_sdtune.swap import replaced_entry


@contextmanager
def plain(sd_model: nn.Module) -> Iterator[None]:
    with ExitStack() as stack:
        for owner in list(sd_model.modules()):
            table = owner._modules.get("token_embedding")
            if hasattr(table, "wrapped") and hasattr(table, "embeddings"):
                stack.enter_context(replaced_entry(owner._modules, "token_embedding", table.wrapped))
                stack.enter_context(wrapping_itself(table.wrapped))
        yield


@contextmanager
def wrapping_itself(table: nn.Module) -> Iterator[None]:
    """Whoever asks the WebUI's table for the plain one gets it: its Refresh of the embeddings does, at any time."""
    with replaced_entry(vars(table), "wrapped", table):  # not by setattr, which would make it a part of itself
        yield
