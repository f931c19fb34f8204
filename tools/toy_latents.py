"""A pool of drawn pictures as latents, as many of each form, colour and background: python tools/toy_latents.py FOLDER
[ROUNDS].
"""

import random
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib_sdtune import toyworld
from lib_sdtune.ldm.vae import AutoencoderKL
from tools.embedded_sizes import SCALE_FACTOR, VAE
from tools.vae_drawings import pixels

COMBINATIONS = [(f, c, b) for f in toyworld.SHAPES for c in toyworld.COLOURS for b in toyworld.BACKGROUNDS]  # 512


def load_vae(path):
    vae = AutoencoderKL(**VAE)
    vae.load_state_dict(load_file(path))
    return vae.eval()


@torch.no_grad()
def encode_round(vae, number):
    """(512, 4, 8, 8) fp16: one picture of every combination, in their order."""
    rng = random.Random(number)
    pictures = [toyworld.draw(toyworld.random_scene(rng, *combination)) for combination in COMBINATIONS]
    return torch.cat([vae.encode(pixels(pictures[i:i + 8]))[0]
                      for i in range(0, len(pictures), 8)]).mul(SCALE_FACTOR).half()


def pool(folder, rounds=32):
    """(rounds, 512, 4, 8, 8) fp16, made where it is missing; kept in FOLDER/latents."""
    rounds_made = []
    (folder / "latents").mkdir(parents=True, exist_ok=True)
    vae = None
    for number in range(rounds):
        file = folder / "latents" / f"{number:03}.pt"
        if not file.exists():
            vae = vae or load_vae(folder / "vae.safetensors")
            torch.save(encode_round(vae, number), file.with_suffix(".tmp"))
            file.with_suffix(".tmp").replace(file)
            print(f"round {number + 1} of {rounds}", flush=True)
        rounds_made.append(torch.load(file, weights_only=True))
    return torch.stack(rounds_made)


if __name__ == "__main__":
    pool(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 32)
