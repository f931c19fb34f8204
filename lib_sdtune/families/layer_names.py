"""Every name that LoRA files of other programs use for a layer that sd-scripts adapts too."""

from typing import Any

from lib_sdtune.ldm.layers import norm_layers, outer_layers, unet_layers


def kohya_keys(model: Any) -> dict[str, str]:
    """A layer's name in any program's files -> kohya's key of it, kohya's own included.

    The checkpoint's names and diffusers', whichever of them kohya has for the family, and lora_te for lora_te1 and
    back. model: has `family`, `unet` and `text_encoders`; the weights are not read.
    """
    family = model.family
    keys = {target.key: target.key for target in family.targets(model)}
    keys |= {target.key: target.key for target in [*family.outer_targets(model), *family.norm_targets(model)]}
    for layer in [*unet_layers(model.unet), *outer_layers(model.unet), *norm_layers(model.unet)]:
        for name in (layer.diffusers, layer.path.replace(".", "_")):
            keys.setdefault(f"lora_unet_{name}", f"lora_unet_{family.unet_name(layer)}")
    first = f"{family.text_keys[0]}_"
    alternative_prefix = "lora_te1_" if first == "lora_te_" else "lora_te_"
    return keys | {alternative_prefix + key.removeprefix(first): key for key in list(keys) if key.startswith(first)}
