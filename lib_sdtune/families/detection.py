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
            return family, variant
    raise UserError(
        f"{header.name} is of a model family that is not supported; there are: {', '.join(registry.names())}."
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
