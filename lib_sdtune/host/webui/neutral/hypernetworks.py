"""Hypernetworks hang their layers on the attention modules and leave them there: they would count as layers of the UNet."""

from contextlib import contextmanager

NAMES = ("hyper_k", "hyper_v")


@contextmanager
def off(sd_model):
    hung = [(layer, name, layer._modules.pop(name)) for layer in list(sd_model.modules()) for name in NAMES if name in layer._modules]
    try:
        yield
    finally:
        for layer, name, module in hung:
            layer._modules[name] = module
