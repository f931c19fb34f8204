"""What the forks took over from ComfyUI: a module whose LoRAs are new parameters, put in when it is loaded for a picture.

All of it happens in torch's inference mode, and what is loaded or moved comes out as inference tensors.
"""

import functools
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import load_file
from torch import nn

loaded = []  # the patchers whose module is where pictures want it


class ModelPatcher:
    def __init__(self, model, patches=()):
        self.model, self.patches = model, list(patches)

    def clone(self):
        return ModelPatcher(self.model, self.patches)

    @torch.inference_mode()
    def load(self):
        backup = vars(self.model).setdefault("backup", {})
        for name, delta in self.patches:
            owner, _, field = name.rpartition(".")
            module = self.model.get_submodule(owner)
            weight = getattr(module, field)
            backup.setdefault(name, weight)
            setattr(module, field, nn.Parameter(weight + delta.reshape(weight.shape), requires_grad=False))
        for parameter in self.model.parameters():
            parameter.data = parameter.data.clone()  # to the card

    def unload(self):
        backup = vars(self.model).setdefault("backup", {})
        for name, weight in backup.items():
            owner, _, field = name.rpartition(".")
            setattr(self.model.get_submodule(owner), field, nn.Parameter(weight, requires_grad=False))
        backup.clear()
        with torch.inference_mode():
            for parameter in self.model.parameters():
                parameter.data = parameter.data.clone()  # and back


def load_models_gpu(patchers):
    for patcher in patchers:
        other = next((entry for entry in loaded if entry.model is patcher.model), None)
        if other is not None and other.patches != patcher.patches:
            other.unload()
            loaded.remove(other)
        if other is None or other not in loaded:
            patcher.load()
            loaded.append(patcher)


def unload_all_models():
    while loaded:
        loaded.pop().unload()


class Objects:
    """A picture's parts; `clip.cond_stage_model` is the text encoder."""

    def __init__(self, unet, clip, vae=None):
        self.unet, self.clip, self.vae = unet, clip, vae

    def shallow_copy(self):
        return Objects(self.unet, self.clip, self.vae)


def objects(unet, text_encoder):
    return Objects(ModelPatcher(unet), SimpleNamespace(patcher=ModelPatcher(text_encoder), cond_stage_model=text_encoder))


def sampled(unet, is_velocity):
    """What the stand-in's samplers take for a model. is_velocity(): whether the fork takes the UNet's answer for one."""
    def predict(x, t, context):
        conditioning = {"context": context["crossattn"], "y": context["vector"]} if isinstance(context, dict) else {"context": context}
        answer = unet.diffusion_model(x, t, **conditioning)
        return answer + x if is_velocity() else answer

    return SimpleNamespace(model=SimpleNamespace(diffusion_model=predict))


@functools.lru_cache(maxsize=5)
def load_lora_state_dict(filename):
    return load_file(filename)


def deltas(state_dict, keys):
    """[(name of the parameter, what the LoRA adds to it)]; keys: of the file, up to the first dot -> that name."""
    layers = {key.partition(".")[0] for key in state_dict}
    return [(keys[layer], lora(state_dict, layer)) for layer in sorted(layers) if layer in keys]


def lora(tensors, layer):
    up, down = tensors[f"{layer}.lora_up.weight"].float(), tensors[f"{layer}.lora_down.weight"].float()
    return up.flatten(1) @ down.flatten(1) * (tensors[f"{layer}.alpha"] / down.shape[0])


def load_networks(networks, owner, names, unet_keys, clip_keys):
    """The prompt's LoRAs on clones of the owner's parts, unless they are on already as far as their names tell."""
    networks.loaded_networks[:] = [SimpleNamespace(name=name, te_multiplier=1.0, unet_multiplier=1.0, dyn_dim=None)
                                   for name in names if name in networks.available_networks]
    files = [networks.available_networks[network.name].filename for network in networks.loaded_networks]
    if owner.current_lora_hash == str(files):
        return
    owner.current_lora_hash, original = str(files), owner.forge_objects_original
    unet, patcher = original.unet.clone(), original.clip.patcher.clone()
    for file in files:
        state_dict = networks.load_lora_state_dict(file)
        unet.patches += deltas(state_dict, unet_keys)
        patcher.patches += deltas(state_dict, clip_keys)
    owner.forge_objects = Objects(unet, SimpleNamespace(patcher=patcher, cond_stage_model=patcher.model), original.vae)
    owner.forge_objects_after_applying_lora = owner.forge_objects.shallow_copy()


def shells(networks, functions):
    """The Lora extension of a fork: the stand-in's list of files, and nothing left of what it did to layers."""
    for name, function in functions.items():
        setattr(networks, name, function)
    networks.load_lora_state_dict = load_lora_state_dict
    networks.network_apply_weights = networks.network_restore_weights_from_backup = lambda layer: None
    networks.network_reset_cached_weight = lambda layer: None
    networks.load_network = lambda name, on_disk: SimpleNamespace(name=name, filename=Path(on_disk.filename))


def unet_keys(model):
    """By the names that files of Stable Diffusion 1 have, and by those of Stable Diffusion XL."""
    from lib_sdtune.ldm.layers import unet_layers

    return {f"lora_unet_{name}": f"diffusion_model.{layer.path}.weight" for layer in unet_layers(model.diffusion_model)
            for name in (layer.diffusers, layer.path.replace(".", "_"))}
