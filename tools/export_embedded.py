"""Writes the embedded model's file from what the trainers left: python tools/export_embedded.py FOLDER [OUT].

fp16 under the names of an LDM checkpoint, with metadata that tells SD Tune which settings suit it.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib_sdtune.formats.files import atomic

OUT = Path(__file__).resolve().parent.parent / "lib_sdtune" / "ldm" / "embedded" / "model.safetensors"
PREFIXES = {"unet": "model.diffusion_model.", "vae": "first_stage_model.", "text": "cond_stage_model.transformer."}
DEFAULTS = json.loads(OUT.with_name("defaults.json").read_text(encoding="utf-8"))


def metadata(step):
    return {"format": "pt", "sdtune_family": "sd1", "sdtune_resolution": "64", "sdtune_steps": str(step),
            "sdtune_defaults": json.dumps(DEFAULTS), "modelspec.sai_model_spec": "1.0.0",
            "modelspec.architecture": "stable-diffusion-v1", "modelspec.title": "SD Tune embedded toy model",
            "modelspec.resolution": "64x64", "modelspec.prediction_type": "epsilon", "modelspec.license": "AGPL-3.0"}


def export(parts, step, out):
    """parts: "unet" | "vae" | "text" -> state dict."""
    tensors = {PREFIXES[part] + name: tensor.half().contiguous() for part, state in parts.items()
               for name, tensor in state.items()}
    with atomic(out) as path:
        save_file(tensors, str(path), metadata=metadata(step))


def exchange(path, exchanged):
    """The file again, with these tensors (name -> tensor) in the place of its own; metadata stays."""
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        kept = file.metadata()
    tensors |= {name: tensor.half().contiguous() for name, tensor in exchanged.items()}
    with atomic(path) as target:
        save_file(tensors, str(target), metadata=kept)


def main(folder, out):
    state = torch.load(folder / "model-state.pt", weights_only=True)
    export({"unet": state["ema_unet"], "vae": load_file(folder / "vae.safetensors"), "text": state["ema_text"]},
           state["step"], out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, step {state['step']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else OUT)
