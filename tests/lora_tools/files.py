"""Small checkpoints, and LoRA files of every kind for them."""

from functools import lru_cache

import torch

from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.networks import registry
from tests.models import TINY, checkpoint_tensors


@lru_cache
def model(family):
    """A tiny one, which nobody changes."""
    return TINY[family]()


def checkpoint(path, family="sd1", change=0.0, precision=None):
    """A tiny checkpoint at `path`; `change` is the size of a random difference from the one without it."""
    tensors = {name: tensor.clone() for name, tensor in checkpoint_tensors(model(family)).items()}
    chance = torch.Generator().manual_seed(99)
    if change:
        for tensor in tensors.values():
            if tensor.is_floating_point():
                tensor += torch.randn(tensor.shape, generator=chance) * change
    safetensors.write(path, tensors, {"sdtune_defaults": "{}"}, precision=precision)
    return path


def lora(
    path,
    family="sd1",
    network="lora",
    dim=4,
    alpha=2.0,
    seed=1,
    convolutions=True,
    precision=torch.float32,
    metadata=None,
    norms=False,
):
    """A LoRA with a value everywhere, for the tiny checkpoint of that family."""
    chance, of = torch.Generator().manual_seed(seed), model(family)
    tensors = {}
    for target in of.family.targets(of):
        if convolutions or target.kind == "attention":
            adapter = registry[network](target.layer, dim, alpha, chance)
            for tail, tensor in adapter.tensors().items():
                if tail not in ("alpha", "on_input"):
                    tensor = tensor + torch.randn(tensor.shape, generator=chance) * 0.1
                tensors[f"{target.key}.{tail}"] = tensor.to(precision)
    for target in of.family.norm_targets(of) if norms else ():
        for tail in ("w_norm", "b_norm"):
            values = torch.randn(target.layer.weight.shape, generator=chance) * 0.1
            tensors[f"{target.key}.{tail}"] = values.to(precision)
    facts = {
        "ss_base_model_version": of.family.base_model_version,
        "ss_v2": str(family == "sd2"),
        "ss_network_dim": str(dim),
        "ss_network_alpha": str(alpha),
        "ss_tag_frequency": '{"10_ron": {"ron": 3}}',
    }
    safetensors.write(path, tensors, facts if metadata is None else metadata)
    return path


def layers(path):
    """key -> tail -> tensor, read without the code under test; and the metadata."""
    tensors, metadata = safetensors.read(path)
    by_key = {}
    for name, tensor in tensors.items():
        key, tail = name.split(".", 1)
        by_key.setdefault(key, {})[tail] = tensor
    return by_key, metadata


def product(tensors):
    """The change of a LoRA layer by its formula, (out, in k k)."""
    up, down = tensors["lora_up.weight"].double().flatten(1), tensors["lora_down.weight"].double().flatten(1)
    return up @ down * float(tensors["alpha"]) / down.shape[0]
