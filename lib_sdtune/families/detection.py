"""Which family and variant a checkpoint is, from its header alone; the same for every host, loaded or not."""

from lib_sdtune.errors import UserError
from lib_sdtune.families import registry
from lib_sdtune.families.base import Family
from lib_sdtune.families.variant import Variant
from lib_sdtune.ldm.header import FIRST, Header

UNET, TEXT = "model.diffusion_model.", "cond_stage_model."


def detect(header: Header) -> tuple[Family, Variant]:
    """UserError for relatives that cannot be trained, and for what no family knows."""
    relative = relative_of(header.shapes)
    if relative:
        raise UserError(
            f"{header.name} is {relative}, which cannot be trained; choose a Stable Diffusion 1, 2 or XL checkpoint."
        )
    header.refuse_contradictions()
    for _, cls in registry:
        family = cls()
        variant = family.read(header)
        if variant is not None:
            refuse_incomplete(header, family)
            return family, variant
    if FIRST in header.shapes and not any(name.startswith((TEXT, "conditioner.")) for name in header.shapes):
        raise UserError(f"{header.name} has no text encoder: it is a UNet alone. Choose the complete checkpoint.")
    raise UserError(
        f"{header.name} is of a model family that is not supported; there are: {', '.join(registry.names())}."
    )


def refuse_incomplete(header: Header, family: Family) -> None:
    """UserError where the UNet or a text encoder is missing, or the VAE is of another family.

    A missing VAE is the host's business: the WebUI may have another one for it.
    """
    shapes = family.shapes(header)
    for part, tensors in shapes.items():
        if not tensors and part != "vae":
            raise UserError(f"{header.name} lacks {family.prefixes[part]}*, a part of every {family.sd_version} model. "
                            "Choose the complete checkpoint.")
    latent = shapes["vae"].get("decoder.conv_in.weight")
    if latent and latent[1] != family.latent_channels:
        raise UserError(
            f"The VAE in {header.name} makes latents of {latent[1]} channels and {family.sd_version} models read "
            f"{family.latent_channels}: it is the VAE of another model family. Choose the checkpoint with its own."
        )


def relative_of(shapes: dict[str, tuple[int, ...]]) -> str:
    """What a checkpoint is that looks like one of ours and is not, or ""."""
    def any_name(start: str) -> bool:
        return any(name.startswith(start) for name in shapes)

    first, xl = shapes.get(FIRST, ()), any_name("conditioner.embedders.")
    channels = first[1] if len(first) == 4 else 4
    kinds = (
        ("a Stable Diffusion 3 checkpoint", f"{UNET}x_embedder.proj.weight" in shapes),
        ("an SDXL refiner", "conditioner.embedders.0.model.ln_final.weight" in shapes),
        ("an unCLIP checkpoint", any_name("embedder.model.") or any_name("noise_augmentor.")),
        ("a depth checkpoint", any_name("depth_model.") or channels == 5),
        ("an instruct-pix2pix checkpoint", channels == 8),
        ("an Alt-Diffusion checkpoint", any_name(f"{TEXT}roberta.")),
        ("an SSD checkpoint", xl and not any_name(f"{UNET}middle_block.1.transformer_blocks.")),
    )
    return next((name for name, it_is in kinds if it_is), "")
