"""Puts the embedded model where the WebUI finds it:

    python tools/place_in_webui.py WEBUI [NAME]

Writes models/Stable-diffusion/NAME.safetensors, NAME.yaml, which tells the WebUI its sizes, and the vocabulary in
NAME/.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tools.embedded_sizes import SCALE_FACTOR, UNET, VAE
from tools.make_vocabulary import FOLDER


def config(vocabulary):
    """The WebUI's v1-inference.yaml with our sizes (JSON is YAML)."""
    unet = {"image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": UNET["model_channels"],
            "attention_resolutions": [2**level for level in UNET["attention_levels"]],
            "num_res_blocks": UNET["num_res_blocks"],
            "channel_mult": list(UNET["channel_mult"]), "num_heads": UNET["num_heads"], "use_spatial_transformer": True,
            "transformer_depth": 1, "context_dim": UNET["context_dim"], "use_checkpoint": True, "legacy": False}
    vae = {"double_z": True, "z_channels": 4, "resolution": 64, "in_channels": 3, "out_ch": 3, "ch": VAE["ch"],
           "ch_mult": list(VAE["ch_mult"]), "num_res_blocks": VAE["num_res_blocks"], "attn_resolutions": [],
           "dropout": 0.0}
    parts = {
        "unet_config": {"target": "ldm.modules.diffusionmodules.openaimodel.UNetModel", "params": unet},
        "first_stage_config": {"target": "ldm.models.autoencoder.AutoencoderKL", "params": {
            "embed_dim": 4, "monitor": "val/rec_loss", "ddconfig": vae, "lossconfig": {"target": "torch.nn.Identity"}}},
        "cond_stage_config": {"target": "ldm.modules.encoders.modules.FrozenCLIPEmbedder",
                              "params": {"version": str(vocabulary)}}}
    schedule = {"linear_start": 0.00085, "linear_end": 0.012, "timesteps": 1000, "num_timesteps_cond": 1,
                "log_every_t": 200}
    keys = {"first_stage_key": "jpg", "cond_stage_key": "txt", "image_size": 8, "channels": 4,
            "cond_stage_trainable": False,
            "conditioning_key": "crossattn", "monitor": "val/loss_simple_ema", "scale_factor": SCALE_FACTOR,
            "use_ema": False}
    return {"model": {"target": "ldm.models.diffusion.ddpm.LatentDiffusion", "params": schedule | keys | parts}}


def place(webui, name):
    models = Path(webui).resolve() / "models" / "Stable-diffusion"
    vocabulary = models / name
    vocabulary.mkdir(parents=True, exist_ok=True)
    for file in FOLDER.iterdir():
        if file.suffix in (".json", ".txt"):
            shutil.copyfile(file, vocabulary / file.name)
    shutil.copyfile(FOLDER / "model.safetensors", models / f"{name}.safetensors")
    (models / f"{name}.yaml").write_text(json.dumps(config(vocabulary), indent=1), encoding="utf-8")
    print(models / f"{name}.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("webui", type=Path, help="its folder, or that of --data-dir")
    parser.add_argument("name", nargs="?", default="sdtune-toy")
    arguments = parser.parse_args()
    place(arguments.webui, arguments.name)
