"""The WebUI looks embeddings up inside the token embedding of its text encoders; training reads the plain table."""

from contextlib import ExitStack, contextmanager

from lib_sdtune.host.webui.swap import ABSENT


@contextmanager
def plain(sd_model):
    with ExitStack() as stack:
        for owner in list(sd_model.modules()):
            table = owner._modules.get("token_embedding")
            if hasattr(table, "wrapped") and hasattr(table, "embeddings"):
                stack.enter_context(child(owner, "token_embedding", table.wrapped))
                stack.enter_context(wrapping_itself(table.wrapped))
        yield


@contextmanager
def wrapping_itself(table):
    """Whoever asks the WebUI's table for the plain one gets it: its Refresh of the embeddings does, at any time."""
    vars(table)["wrapped"] = table  # not by setattr, which would make it a part of itself
    try:
        yield
    finally:
        del vars(table)["wrapped"]


@contextmanager
def child(owner, name, module):
    before = owner._modules.get(name, ABSENT)
    owner._modules[name] = module
    try:
        yield
    finally:
        owner._modules[name] = before
