"""The .yaml that the WebUI wants beside a checkpoint of which it cannot tell by itself what it is.

That is one whose sizes are not Stable Diffusion's own, or which predicts a velocity. Written as JSON, which is YAML
too. Keys as in the WebUI's configs/v1-inference.yaml, Stability's v2-inference-v.yaml and sd_xl_base.yaml. `model` is a
`loaded_model.LoadedModel` throughout.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from lib_sdtune.ldm import architecture, config_yaml, header, tokenizer
from lib_sdtune.ldm.header import EPSILON, Header, V

USUAL = {"model_channels": 320, "channel_mult": (1, 2, 4, 4), "context_dim": 768, "num_res_blocks": 2}
SGM = "sgm.modules.diffusionmodules"
SCALING = {EPSILON: "EpsScaling", V: "VScaling"}


def write(path: str | Path, model: Any) -> None:
    """Write `path`.yaml for a loaded model: its source's own, or one of ours where the WebUI needs it, or none."""
    source = Path(model.path) if model.path else None
    source_config = header.config_beside(source) if source else {}
    if source and source_config and Header("", {}, {}, source_config).config_prediction() == model.prediction_type:
        config_yaml.lay(Path(path), source.with_suffix(".yaml").read_bytes())
        return
    config = predicting(source_config, model.prediction_type) if source_config else model.family.config(model)
    config_yaml.lay(Path(path), config_yaml.written(config) if config else None)


def predicting(config: dict[str, Any], prediction_type: str) -> dict[str, Any]:
    """The same config for a model that predicts something else."""
    config = copy.deepcopy(config)
    params = config["model"].setdefault("params", {})
    if "denoiser_config" in params:
        params["denoiser_config"]["params"]["scaling_config"] = {
            "target": f"{SGM}.denoiser_scaling.{SCALING[prediction_type]}"
        }
    else:
        params["parameterization"] = "v" if prediction_type == V else "eps"
    return config


def unusual(sizes: Mapping[str, Any]) -> bool:
    return any(sizes[key] != source_config for key, source_config in USUAL.items())


def latent_diffusion(model: Any, text_encoder: dict[str, Any]) -> dict[str, Any]:
    """The config of Stable Diffusion 1 and 2, whose text encoder is described by `text_encoder`."""
    sizes = architecture.unet_sizes(model.unet.state_dict())
    inpainting = model.variant.inpainting
    return {
        "model": {
            "target": f"ldm.models.diffusion.ddpm.Latent{'Inpaint' if inpainting else ''}Diffusion",
            "params": {
                "parameterization": "v" if model.prediction_type == V else "eps",
                "linear_start": 0.00085,
                "linear_end": 0.0120,
                "num_timesteps_cond": 1,
                "log_every_t": 200,
                "timesteps": 1000,
                "first_stage_key": "jpg",
                "cond_stage_key": "txt",
                "image_size": 64,
                "channels": 4,
                "cond_stage_trainable": False,
                "conditioning_key": "hybrid" if inpainting else "crossattn",
                "monitor": "val/loss_simple_ema",
                "scale_factor": model.family.scale_factor,
                "use_ema": False,
                "unet_config": {
                    "target": "ldm.modules.diffusionmodules.openaimodel.UNetModel",
                    "params": of_unet(sizes, model.unet),
                },
                "first_stage_config": {"target": "ldm.models.autoencoder.AutoencoderKL", "params": of_vae(model.vae)},
                "cond_stage_config": text_encoder,
            }
            | ({"finetune_keys": None} if inpainting else {}),
        }
    }


def clip(folder: str | None = None) -> dict[str, Any]:
    """Stable Diffusion 1's text encoder, described by the config.json in a folder, or the usual one."""
    return {
        "target": "ldm.modules.encoders.modules.FrozenCLIPEmbedder",
        "params": {"version": folder} if folder else {},
    }


def open_clip() -> dict[str, Any]:
    """Stable Diffusion 2's."""
    return {
        "target": "ldm.modules.encoders.modules.FrozenOpenCLIPEmbedder",
        "params": {"freeze": True, "layer": "penultimate"},
    }


def diffusion_engine(model: Any) -> dict[str, Any]:
    """The config of Stable Diffusion XL."""
    return {
        "model": {
            "target": "sgm.models.diffusion.DiffusionEngine",
            "params": {
                "scale_factor": model.family.scale_factor,
                "disable_first_stage_autocast": True,
                "denoiser_config": {"target": f"{SGM}.denoiser.DiscreteDenoiser", "params": denoiser_params(model)},
                "network_config": {"target": f"{SGM}.openaimodel.UNetModel", "params": unet_params(model)},
                "conditioner_config": {
                    "target": "sgm.modules.GeneralConditioner",
                    "params": {"emb_models": [{"is_trainable": False} | encoder for encoder in SDXL_CONDITIONERS]},
                },
                "first_stage_config": {
                    "target": "sgm.models.autoencoder.AutoencoderKLInferenceWrapper",
                    "params": of_vae(model.vae),
                },
            },
        }
    }


def denoiser_params(model: Any) -> dict[str, Any]:
    kind = SCALING[model.prediction_type].removesuffix("Scaling")
    return {
        "num_idx": 1000,
        "weighting_config": {"target": f"{SGM}.denoiser_weighting.{'V' if kind == 'V' else 'Eps'}Weighting"},
        "scaling_config": {"target": f"{SGM}.denoiser_scaling.{kind}Scaling"},
        "discretization_config": {"target": f"{SGM}.discretizer.LegacyDDPMDiscretization"},
    }


def unet_params(model: Any) -> dict[str, Any]:
    sizes = architecture.unet_sizes(model.unet.state_dict())
    return of_unet(sizes, model.unet) | {
        "adm_in_channels": sizes["adm_channels"],
        "num_classes": "sequential",
        "transformer_depth": [max(1, depth) for depth in sizes["transformer_depth"]],
        "spatial_transformer_attn_type": "softmax-xformers",
    }


SDXL_CONDITIONERS: tuple[dict[str, Any], ...] = (  # its two text encoders, and the sizes
    {
        "input_key": "txt",
        "target": "sgm.modules.encoders.modules.FrozenCLIPEmbedder",
        "params": {"layer": "hidden", "layer_idx": 11},
    },
    {
        "input_key": "txt",
        "target": "sgm.modules.encoders.modules.FrozenOpenCLIPEmbedder2",
        "params": {
            "arch": "ViT-bigG-14",
            "version": "laion2b_s39b_b160k",
            "freeze": True,
            "layer": "penultimate",
            "always_return_pooled": True,
            "legacy": False,
        },
    },
    *(
        {
            "input_key": key,
            "target": "sgm.modules.encoders.modules.ConcatTimestepEmbedderND",
            "params": {"outdim": 256},
        }
        for key in ("original_size_as_tuple", "crop_coords_top_left", "target_size_as_tuple")
    ),
)


def vocabulary(model: Any) -> str | None:
    """The folder of the tokenizer and of the text encoder's config.json, or None."""
    size = model.towers[0].token_embedding.num_embeddings
    for folder in tokenizer.folders(Path(model.path)) if model.path else []:
        names = [folder / name for name in ("vocab.json", "merges.txt", "config.json")]
        if (
            all(name.is_file() for name in names)
            and json.loads(names[2].read_text(encoding="utf-8")).get("vocab_size") == size
        ):
            return folder.absolute().as_posix()
    return None


def of_unet(sizes: Mapping[str, Any], unet: Any) -> dict[str, Any]:
    attention = unet.middle_block[1].transformer_blocks[0].attn1
    heads = (
        {"num_head_channels": attention.to_q.out_features // attention.heads}
        if sizes["use_linear"]
        else {"num_heads": attention.heads}
    )
    return {
        "image_size": 32,
        "in_channels": sizes["in_channels"],
        "out_channels": sizes["out_channels"],
        "model_channels": sizes["model_channels"],
        "attention_resolutions": [2**level for level in sizes["attention_levels"]],
        "num_res_blocks": sizes["num_res_blocks"],
        "channel_mult": list(sizes["channel_mult"]),
        "use_spatial_transformer": True,
        "transformer_depth": 1,
        "context_dim": sizes["context_dim"],
        "use_linear_in_transformer": sizes["use_linear"],
        "use_checkpoint": False,
        "legacy": False,
    } | heads


def of_vae(vae: nn.Module) -> dict[str, Any]:
    sizes = architecture.vae_sizes(vae.state_dict())
    return {
        "embed_dim": sizes["embed_dim"],
        "monitor": "val/rec_loss",
        "lossconfig": {"target": "torch.nn.Identity"},
        "ddconfig": {
            "double_z": True,
            "z_channels": sizes["z_channels"],
            "resolution": 256,
            "in_channels": 3,
            "out_ch": 3,
            "ch": sizes["ch"],
            "ch_mult": list(sizes["ch_mult"]),
            "num_res_blocks": sizes["num_res_blocks"],
            "attn_resolutions": [],
            "dropout": 0.0,
        },
    }
