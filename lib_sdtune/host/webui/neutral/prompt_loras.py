"""LoRAs of the last prompt stay merged into the weights until another prompt runs; the base must be bare.

The backups of the bare weights go too: after a training that changes weights in place, the next <lora:...> would bring
the old ones back.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import nn

from lib_sdtune.swap import replaced


@contextmanager
def off(sd_model: nn.Module) -> Iterator[None]:
    networks = sys.modules.get("networks")
    if not hasattr(networks, "network_restore_weights_from_backup"):
        yield
        return
    apply_weights, loaded = networks.network_apply_weights, list(networks.loaded_networks)
    with_networks = restore_weights(networks, sd_model)
    networks.loaded_networks.clear()
    try:
        with replaced(networks, "network_apply_weights", lambda layer: None):
            yield
    finally:
        restore_weights(networks, sd_model)
        networks.loaded_networks[:] = loaded
        with torch.no_grad():
            for layer in with_networks:
                apply_weights(layer)


@torch.no_grad()
def restore_weights(networks: ModuleType, sd_model: nn.Module) -> list[nn.Module]:
    """Bare weights again, without backups; the layers that had the networks loaded now merged in."""
    current_names = tuple((net.name, net.te_multiplier, net.unet_multiplier, net.dyn_dim)
                          for net in networks.loaded_networks)
    layers = [layer for layer in sd_model.modules() if hasattr(layer, "network_current_names")]
    with_networks = [layer for layer in layers if current_names and layer.network_current_names == current_names]
    for layer in layers:
        networks.network_restore_weights_from_backup(layer)
        networks.network_reset_cached_weight(layer)
    return with_networks
