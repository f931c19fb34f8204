"""Checkpoint files of the small models in `tests.models`, and the embedded host on one of them."""

import json

import torch
from safetensors.torch import save_file

from lib_sdtune.host.embedded import EmbeddedHost
from tests.models import TINY, checkpoint_tensors

V_YAML = {"sd1": {"parameterization": "v"}, "sd2": {"parameterization": "v"},
          "sdxl": {"denoiser_config": {"params": {"scaling_config": {"target": "sgm.VScaling"}}}}}
"""Family -> what a .yaml says of a v-prediction model."""


def write(folder, name, model, yaml=None, ending=".safetensors"):
    """A checkpoint file of a small model, with its vocabulary and perhaps a .yaml beside it."""
    path = folder / "models" / "Stable-diffusion" / f"{name}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    heads = {"unet": {"num_heads": 4, "head_channels": None}}
    if ending == ".ckpt":
        torch.save({"state_dict": checkpoint_tensors(model), "global_step": 7}, path)
    else:
        save_file(checkpoint_tensors(model), path,
                  metadata={"sdtune_resolution": "64", "sdtune_architecture": json.dumps(heads)})
    (path.parent / "vocab.json").write_text(json.dumps(model.tokenizer.vocab), encoding="utf-8")
    (path.parent / "merges.txt").write_text("\n".join(" ".join(pair) for pair in model.tokenizer.ranks), encoding="utf-8")
    if yaml:
        path.with_suffix(".yaml").write_text(json.dumps({"model": {"params": yaml}}))
    return path


def host_of(folder, family, yaml=None, variant=None, ending=".safetensors"):
    """The embedded host on the CPU with a small model of that family as its checkpoint."""
    path = write(folder, family, TINY[family](variant=variant), yaml, ending)
    return EmbeddedHost(folder, path, device="cpu")
