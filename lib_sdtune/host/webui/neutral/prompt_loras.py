"""LoRAs of the last prompt stay merged into the weights until another prompt runs; the base must be bare.

The backups of the bare weights go too: after a training that changes weights in place, the next <lora:...> would bring
the old ones back.
"""

import sys
from contextlib import contextmanager

import torch

from lib_sdtune.host.webui.swap import replaced


@contextmanager
def off(sd_model):
    networks = sys.modules.get("networks")
    if not hasattr(networks, "network_restore_weights_from_backup"):
        yield
        return
    apply_weights, loaded = networks.network_apply_weights, list(networks.loaded_networks)
    dressed = undress(networks, sd_model)
    networks.loaded_networks.clear()
    try:
        with replaced(networks, "network_apply_weights", lambda layer: None):
            yield
    finally:
        undress(networks, sd_model)
        networks.loaded_networks[:] = loaded
        with torch.no_grad():
            for layer in dressed:
                apply_weights(layer)


@torch.no_grad()
def undress(networks, sd_model):
    """Bare weights again, without backups; the layers that wore the networks loaded now."""
    wanted = tuple((net.name, net.te_multiplier, net.unet_multiplier, net.dyn_dim) for net in networks.loaded_networks)
    layers = [layer for layer in sd_model.modules() if hasattr(layer, "network_current_names")]
    dressed = [layer for layer in layers if wanted and layer.network_current_names == wanted]
    for layer in layers:
        networks.network_restore_weights_from_backup(layer)
        networks.network_reset_cached_weight(layer)
    return dressed
