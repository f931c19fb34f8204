"""What a LoRA's metadata say of its network, under the names of kohya's and LyCORIS' arguments."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lib_sdtune import networks
from lib_sdtune.families.base import Target
from lib_sdtune.methods.lora_settings import OF_THE_FILE, LoraConfig
from lib_sdtune.networks.base import Adapter, spatial
from lib_sdtune.networks.norm import Norm


def dim_and_alpha(settings: LoraConfig, adapters: Iterable[Adapter]) -> dict[str, Any]:
    """ss_network_dim and ss_network_alpha: "Dynamic" where layers differ, None where the network has no such thing."""
    if not settings.init_file and not settings.block_dims:
        return {"ss_network_dim": settings.dim, "ss_network_alpha": settings.alpha}
    ranked = [each for each in adapters if not isinstance(each, Norm)]
    dims, alphas = {each.dim for each in ranked}, {each.alpha for each in ranked}
    dim, alpha = (min(numbers) if len(numbers) == 1 else "Dynamic" for numbers in (dims, alphas))
    of_file = ranked if settings.init_file else []
    return {"ss_network_dim": dim if not of_file or any(each.has_rank for each in of_file) else None,
            "ss_network_alpha": alpha if not of_file or any(each.uses_alpha for each in of_file) else None}


def network_arguments(settings: LoraConfig, adapters: Mapping[str, Adapter], targets: Iterable[Target]
                      ) -> dict[str, str]:
    """The arguments as far as they are not their defaults, and as far as there are layers that they are about.

    adapters: kohya's key of a layer -> its adapter. targets: these layers.
    """
    ranked = [each for each in adapters.values() if not isinstance(each, Norm)]
    name = next((each.name for each in ranked), settings.network)
    arguments: dict[str, Any] = networks.registry[name].metadata_arguments()
    with_kernel = [target.key for target in targets if spatial(target.layer.weight.shape)]
    arguments |= convolutions(settings, [adapters[key] for key in with_kernel])
    defaults = LoraConfig()
    keys = ["preset", "train_norm", "rank_dropout", "module_dropout", "loraplus_lr_ratio",
            *networks.registry[name].options, "down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_dims",
            "block_alphas", "conv_block_dims", "conv_block_alphas"]
    if settings.init_file:
        keys = [key for key in keys if key not in OF_THE_FILE]
        arguments |= {"train_norm": True} if len(ranked) < len(adapters) else {}
    arguments |= {key: getattr(settings, key) for key in keys if getattr(settings, key) != getattr(defaults, key)}
    return {key: ",".join(map(str, value)) if isinstance(value, list) else str(value)
            for key, value in arguments.items()}


def convolutions(settings: LoraConfig, adapters: Sequence[Adapter]) -> dict[str, Any]:
    """conv_dim and conv_alpha, where there are such layers: the settings', or those of the file that is gone on from.

    adapters: those of 3x3 convolutions.
    """
    if not adapters:
        return {}
    if not settings.init_file:
        return {"conv_dim": settings.conv_dim, "conv_alpha": settings.conv_alpha} if settings.conv_dim else {}
    dims, alphas = {each.dim for each in adapters}, {each.alpha for each in adapters}
    if len(dims) > 1:
        return {}
    scaled = len(alphas) == 1 and adapters[0].uses_alpha
    return {"conv_dim": min(dims)} | ({"conv_alpha": min(alphas)} if scaled else {})
