"""A small Stable Diffusion XL as the forks load it: the file has OpenCLIP's names, and their second text encoder others."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lib_sdtune.ldm.text import CLIPTextModel, hidden_states
from tests.models import SHALLOW, checkpoint_tensors, tokenizer
from tests.standin.prompt_chunk import prompt_chunk

NAME = "xl.safetensors"
WIDTHS, PROJECTION = (12, 16), 20
FIRST, SECOND = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."
SIZES = 6 * 256  # numbers that the UNet is told beside the pooled text


def write(folder):
    """A checkpoint's file under the names that Stability gave it."""
    save_file(checkpoint_tensors(SHALLOW["sdxl"]()), Path(folder) / NAME)


def built(path):
    """(UNet, VAE, first encoder's `transformer`, second one's, projection (width, P)) with a file's numbers."""
    tensors, small = load_file(path), SHALLOW["sdxl"]()
    part = {prefix: {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            for prefix in (*small.family.prefixes.values(), FIRST, SECOND)}
    small.unet.load_state_dict(part["model.diffusion_model."])
    for block in small.unet.modules():
        if type(block).__name__ == "BasicTransformerBlock":
            block.disable_self_attn = False
    small.vae.load_state_dict(part["first_stage_model."])
    first, second = (CLIPTextModel(len(tokenizer()), width, 3, 4, activation=activation)
                     for width, activation in zip(WIDTHS, ("quick_gelu", "gelu"), strict=True))
    first.load_state_dict(part[FIRST])
    second.load_state_dict(dict(renamed(part[SECOND])))
    return small.unet, small.vae, first, second, part[SECOND]["text_projection"]


def renamed(tensors):
    """(Hugging Face's name, tensor) of what is under OpenCLIP's names."""
    yield "text_model.embeddings.token_embedding.weight", tensors["token_embedding.weight"]
    yield "text_model.embeddings.position_embedding.weight", tensors["positional_embedding"]
    for kind in ("weight", "bias"):
        yield f"text_model.final_layer_norm.{kind}", tensors[f"ln_final.{kind}"]
        for layer in range(3):
            theirs, ours = f"transformer.resblocks.{layer}.", f"text_model.encoder.layers.{layer}."
            for letter, rows in zip("qkv", tensors[f"{theirs}attn.in_proj_{kind}"].chunk(3), strict=True):
                yield f"{ours}self_attn.{letter}_proj.{kind}", rows.clone()
            yield f"{ours}self_attn.out_proj.{kind}", tensors[f"{theirs}attn.out_proj.{kind}"]
            for old, new in (("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"), ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2")):
                yield f"{ours}{new}.{kind}", tensors[f"{theirs}{old}.{kind}"]


class Encoder(nn.Module):
    """What the forks keep a text encoder in."""

    def __init__(self, transformer):
        super().__init__()
        self.transformer, self.logit_scale = transformer, nn.Parameter(torch.tensor(4.6))


def framed(stage, tokens, database):
    """(77 ids (1, 77), [(offset, embedding)]) of a prompt; stage: has `id_start`, `id_end` and `id_pad`."""
    chunk, fixes = prompt_chunk(tokens, database)
    ids = [stage.id_start, *chunk, stage.id_end]
    return torch.tensor([ids + [stage.id_pad] * (77 - len(ids))]), fixes


def states(transformer, ids):
    """(the last layer's answer but one, the last one's at the end token, normalised)."""
    text_model = transformer.text_model
    answers = hidden_states(text_model, ids)
    last = text_model.final_layer_norm(answers[-1])
    return answers[-2], last[torch.arange(len(ids)), (ids == tokenizer().end).int().argmax(dim=1)]


def conditioning(first, second, projected):
    """What the UNet is told. first, second: what `states` gave; projected: (B, P)."""
    vector = torch.cat([projected, torch.zeros(len(projected), SIZES)], dim=1)
    return {"crossattn": torch.cat([first[0], second[0]], dim=2), "vector": vector}


def clip_keys(model):
    """model: has `clip_l` and `clip_g`."""
    return {f"lora_te{number}_{name.split('transformer.')[1].removesuffix('.weight').replace('.', '_')}": name
            for number, part in enumerate(("clip_l", "clip_g"), 1) for name, parameter in model.named_parameters()
            if name.startswith(part) and ".layers." in name and name.endswith(".weight") and parameter.ndim == 2}
