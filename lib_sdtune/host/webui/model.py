"""The WebUI's loaded model as `host.base.LoadedModel`: views of its own modules, nothing copied."""

from pathlib import Path

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.families import registry
from lib_sdtune.host.base import Holding, LoadedModel
from lib_sdtune.host.webui.folders import folder
from lib_sdtune.host.webui.parts import text_towers

FAMILIES = (("is_sdxl", "sdxl", "SDXL"), ("is_sd2", "sd2", "Stable Diffusion 2"), ("is_sd1", "sd1", "Stable Diffusion 1"))


def family_of(sd_model):
    """The family's name in our registry. UserError for models that cannot be trained."""
    refuse_special(sd_model)
    for flag, name, spelled in FAMILIES:
        if getattr(sd_model, flag, False):
            if name not in registry.names():
                raise UserError(f"The loaded checkpoint is of the {spelled} family, which cannot be trained yet; load another one.")
            return name
    raise UserError("The loaded checkpoint is of an unknown family; load a Stable Diffusion 1, 2 or XL one.")


def refuse_special(sd_model):
    if getattr(sd_model, "is_sd3", False) or getattr(sd_model, "is_ssd", False):
        raise UserError("Stable Diffusion 3 and SSD checkpoints cannot be trained; load a Stable Diffusion 1, 2 or XL one.")
    first = sd_model.model.diffusion_model.input_blocks[0][0]
    if first.in_channels != 4:
        raise UserError("Inpainting and instruct-pix2pix checkpoints cannot be trained; load the checkpoint that they were made from.")


def lend(sd_model):
    """`sd_model` as the trainer wants it; call it inside `neutral`."""
    family = registry[family_of(sd_model)]()
    info = sd_model.sd_checkpoint_info
    schedule = getattr(sd_model, "alphas_cumprod_original", None)
    schedule = sd_model.alphas_cumprod if schedule is None else schedule
    return LoadedModel(
        family=family,
        unet=sd_model.model.diffusion_model,
        vae=sd_model.first_stage_model,
        text_encoders=text_towers(sd_model),
        tokenizer=Tokenizer(first_wrapper(sd_model)),
        alphas_cumprod=schedule.detach().to("cpu", torch.float32),
        name=info.name_for_extra,
        hash=info.shorthash or sd_model.sd_model_hash or "",
        prediction_type="v_prediction" if getattr(sd_model, "parameterization", "eps") == "v" else "epsilon",
        resolution=family.resolution,
        embeddings=embeddings(),
        folder=folder,
        path=Path(info.filename),
    )


def holding(sd_model):
    """What it is made of; the device is the one that computes, wherever the parts wait."""
    from modules import devices

    unet, towers = sd_model.model.diffusion_model, text_towers(sd_model)
    parts = {"unet": unet, "vae": sd_model.first_stage_model} | {f"text_encoder_{i + 1}": tower for i, tower in enumerate(towers)}
    shapes = {part: {name: tuple(tensor.shape) for name, tensor in module.named_parameters()} for part, module in parts.items()}
    return Holding(shapes, next(unet.parameters()).dtype, devices.device)


def first_wrapper(sd_model):
    conditioner = getattr(sd_model, "conditioner", None)
    return sd_model.cond_stage_model if conditioner is None else conditioner.embedders[0]


class Tokenizer:
    """The WebUI's own tokenizer: `tokenizer(text) -> ids` without start, end and padding."""

    def __init__(self, wrapper):
        self.wrapper = wrapper
        self.start, self.end, self.pad = wrapper.id_start, wrapper.id_end, wrapper.id_pad

    def __call__(self, text):
        return list(self.wrapper.tokenize([text])[0])


def embeddings():
    """Name -> vectors of the embeddings that prompts can name with this model, as far as they are plain tensors."""
    from modules.sd_hijack import model_hijack

    known = model_hijack.embedding_db.word_embeddings
    return {name: embedding.vec.detach() for name, embedding in known.items() if isinstance(embedding.vec, torch.Tensor)}
