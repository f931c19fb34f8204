"""The .yaml that the WebUI wants beside a checkpoint whose sizes are not Stable Diffusion 1's own.

Written as JSON, which is YAML too. Keys as in the WebUI's configs/v1-inference.yaml.
"""

import json
from pathlib import Path

from lib_sdtune.formats.files import write_text
from lib_sdtune.ldm import checkpoint, tokenizer

USUAL = {"model_channels": 320, "channel_mult": (1, 2, 4, 4), "context_dim": 768, "num_res_blocks": 2}


def write(path, unet, vae, text_encoder, source):
    """Write `path`.yaml for modules of ours, unless the WebUI knows the sizes by itself. source: the checkpoint they came from."""
    sizes = checkpoint.unet_sizes(unet.state_dict())
    folder = vocabulary(source, text_encoder)
    if folder is None or all(sizes[key] == usual for key, usual in USUAL.items()):
        return
    described = config(sizes, unet, checkpoint.vae_sizes(vae.state_dict()), folder)
    write_text(Path(path).with_suffix(".yaml"), json.dumps(described, indent=1) + "\n")


def vocabulary(source, text_encoder):
    """The folder of the tokenizer and of the text encoder's config.json, or None."""
    size = text_encoder.text_model.embeddings.token_embedding.num_embeddings
    for folder in tokenizer.folders(Path(source)):
        names = [folder / name for name in ("vocab.json", "merges.txt", "config.json")]
        if all(name.is_file() for name in names) and json.loads(names[2].read_text(encoding="utf-8")).get("vocab_size") == size:
            return folder.absolute().as_posix()
    return None


def config(sizes, unet, vae, folder):
    """The whole file as nested dicts."""
    return {"model": {"target": "ldm.models.diffusion.ddpm.LatentDiffusion", "params": {
        "linear_start": 0.00085, "linear_end": 0.0120, "num_timesteps_cond": 1, "log_every_t": 200, "timesteps": 1000,
        "first_stage_key": "jpg", "cond_stage_key": "txt", "image_size": 64, "channels": sizes["in_channels"],
        "cond_stage_trainable": False, "conditioning_key": "crossattn", "monitor": "val/loss_simple_ema",
        "scale_factor": 0.18215, "use_ema": False,
        "unet_config": {"target": "ldm.modules.diffusionmodules.openaimodel.UNetModel", "params": of_unet(sizes, unet)},
        "first_stage_config": {"target": "ldm.models.autoencoder.AutoencoderKL", "params": of_vae(vae)},
        "cond_stage_config": {"target": "ldm.modules.encoders.modules.FrozenCLIPEmbedder", "params": {"version": folder}}}}}


def of_unet(sizes, unet):
    attention = unet.middle_block[1].transformer_blocks[0].attn1
    return {"image_size": 32, "in_channels": sizes["in_channels"], "out_channels": sizes["out_channels"],
            "model_channels": sizes["model_channels"], "attention_resolutions": [2**level for level in sizes["attention_levels"]],
            "num_res_blocks": sizes["num_res_blocks"], "channel_mult": list(sizes["channel_mult"]), "num_heads": attention.heads,
            "use_spatial_transformer": True, "transformer_depth": 1, "context_dim": sizes["context_dim"],
            "use_checkpoint": False, "legacy": False}


def of_vae(sizes):
    return {"embed_dim": sizes["embed_dim"], "monitor": "val/rec_loss", "lossconfig": {"target": "torch.nn.Identity"},
            "ddconfig": {"double_z": True, "z_channels": sizes["z_channels"], "resolution": 256, "in_channels": 3, "out_ch": 3,
                         "ch": sizes["ch"], "ch_mult": list(sizes["ch_mult"]), "num_res_blocks": sizes["num_res_blocks"],
                         "attn_resolutions": [], "dropout": 0.0}}
