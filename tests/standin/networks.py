"""The built-in Lora extension: networks of the prompt are merged into the weights at a layer's next forward, and stay there."""

import re
from pathlib import Path
from types import SimpleNamespace

import torch
from modules import shared
from safetensors.torch import load_file

available_networks, networks_in_memory, loaded_networks = {}, {}, []
originals = None
KINDS = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.GroupNorm, torch.nn.LayerNorm)
RESNET = {"conv1": "in_layers_2", "conv2": "out_layers_3", "time_emb_proj": "emb_layers_1", "conv_shortcut": "skip_connection"}


def list_available_networks():
    available_networks.clear()
    for path in sorted(Path(shared.cmd_opts.lora_dir).glob("**/*.safetensors")):
        available_networks[path.stem] = SimpleNamespace(name=path.stem, filename=str(path))


def assign_network_names_to_compvis_modules(sd_model):
    sd_model.network_layer_mapping = {}
    for root in (sd_model.cond_stage_model.wrapped, sd_model.model):
        for name, module in root.named_modules():
            module.network_layer_name = name.replace(".", "_")
            sd_model.network_layer_mapping[module.network_layer_name] = module


def convert_diffusers_name_to_compvis(key):
    """kohya's name of a layer of Stable Diffusion 1 as the model's own."""
    if key.startswith("lora_te_text_model"):
        return key.replace("lora_te_text_model", "transformer_text_model")
    place = re.match(r"lora_unet_(down|up)_blocks_(\d+)_(attentions|resnets)_(\d+)_(.+)", key)
    if place:
        side, block, kind, index = place[1], int(place[2]), place[3], int(place[4])
        number, side = (1 + 3 * block + index, "input") if side == "down" else (3 * block + index, "output")
        return f"diffusion_model_{side}_blocks_{number}_{1 if kind == 'attentions' else 0}_{own_tail(kind, place[5])}"
    place = re.match(r"lora_unet_mid_block_(attentions|resnets)_(\d+)_(.+)", key)
    if place:
        kind, index = place[1], int(place[2])
        return f"diffusion_model_middle_block_{1 if kind == 'attentions' else 2 * index}_{own_tail(kind, place[3])}"
    return key


def own_tail(kind, tail):
    return RESNET.get(tail, tail) if kind == "resnets" else tail


def load_network(name, network_on_disk):
    net = SimpleNamespace(name=name, te_multiplier=1.0, unet_multiplier=1.0, dyn_dim=None, modules={})
    net.mtime = Path(network_on_disk.filename).stat().st_mtime
    for key, tensor in load_file(network_on_disk.filename).items():
        layer, _, tail = key.partition(".")
        own = convert_diffusers_name_to_compvis(layer)
        if own in shared.sd_model.network_layer_mapping:
            net.modules.setdefault(own, SimpleNamespace(network_key=key, w={})).w[tail] = tensor
    return net


def load_networks(names, te_multipliers=None, unet_multipliers=None, dyn_dims=None):
    kept = {net.name: net for net in loaded_networks}
    loaded_networks.clear()
    for name in names:
        on_disk = available_networks.get(name)
        if on_disk is None:
            continue
        net = kept.get(name)
        if net is None or Path(on_disk.filename).stat().st_mtime > net.mtime:
            net = load_network(name, on_disk)
        loaded_networks.append(net)


def network_restore_weights_from_backup(self):
    for field in ("weight", "bias"):
        backup = getattr(self, f"network_{field}{'s' if field == 'weight' else ''}_backup", None)
        if backup is not None:
            getattr(self, field).copy_(backup)


def network_reset_cached_weight(self):
    self.network_current_names, self.network_weights_backup, self.network_bias_backup = (), None, None


def network_apply_weights(self):
    name = getattr(self, "network_layer_name", None)
    if name is None:
        return
    current = getattr(self, "network_current_names", ())
    names = tuple((net.name, net.te_multiplier, net.unet_multiplier, net.dyn_dim) for net in loaded_networks)
    if names and getattr(self, "network_weights_backup", None) is None:
        if current:
            raise RuntimeError(f"{name} - no backup weights found and current weights are not unchanged")
        self.network_weights_backup = self.weight.detach().clone()
        self.network_bias_backup = None if self.bias is None else self.bias.detach().clone()
    if current == names:
        return
    network_restore_weights_from_backup(self)
    for net in loaded_networks:
        module = net.modules.get(name)
        if module is not None:
            up, down = module.w["lora_up.weight"].float(), module.w["lora_down.weight"].float()
            delta = (up.flatten(1) @ down.flatten(1)).reshape(self.weight.shape) * (module.w["alpha"] / down.shape[0])
            with torch.no_grad():
                self.weight.copy_(self.weight + delta)
    self.network_current_names = names


def patched(kind):
    """The forward of torch's `kind` that looks for networks first."""

    def forward(self, input):
        network_apply_weights(self)
        return getattr(originals, kind.__name__)(self, input)

    return forward


forwards = {kind: patched(kind) for kind in KINDS}
