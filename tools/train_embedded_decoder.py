"""Trains the embedded model's decoder further, alone: python tools/train_embedded_decoder.py FOLDER [--steps 6000].

The encoder stays as it is, so latents, the UNet and every file that was trained on them stay valid. Latents are up to
a fifth noise, because those of a sampler are not exact; most pictures show forms that are not of the toy world, because
those are what somebody brings. FOLDER keeps the state (run it again to go on); the model's file is written anew at the
end. About 40 minutes on one core.
"""

import argparse
import copy
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib_sdtune.ldm.vae import AutoencoderKL
from tools import vae_drawings, vae_training
from tools.embedded_sizes import VAE
from tools.export_embedded import OUT, PREFIXES, exchange

PREFIX = PREFIXES["vae"]
WORLD = 0.3  # share of the toy world's own drawings
NOISE = 0.2  # at most, of the latents' standard deviation


def shipped(path):
    """The file's autoencoder, with norms as they are trained."""
    vae = AutoencoderKL(**VAE)
    vae.load_state_dict({name.removeprefix(PREFIX): tensor.float() for name, tensor in load_file(path).items()
                         if name.startswith(PREFIX)})
    vae_training.fold_eps(vae, to=vae_training.EPS)
    return vae


def loss_of(vae, x, generator):
    with torch.no_grad():
        z = vae.encode(x)[0]
        share = NOISE * torch.rand(len(z), 1, 1, 1, generator=generator)
        z = z + share * z.std() * torch.randn(z.shape, generator=generator)
    error = vae.decode(z) - x
    return vae_training.edge_loss(error, x), error


def train(path, folder, steps, size, rate):
    """The decoder's weights averaged over the last steps, in the autoencoder."""
    vae = shipped(path)
    ema, state_path = copy.deepcopy(vae).eval(), folder / "decoder-state.pt"
    optimizer = torch.optim.AdamW(vae.decoder.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=1e-4)
    start = vae_training.restore(state_path, vae, ema, optimizer)
    progress = vae_training.Progress(start)
    for step in range(start, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * vae_training.warm_and_linear(step, steps)
        x = vae_drawings.batch(step + 10**6, size, WORLD)
        loss, error = loss_of(vae, x, torch.Generator().manual_seed(step))
        vae_training.step(vae.decoder, ema.decoder, optimizer, loss, step)
        progress.say(step, loss, error)
        if step % 200 == 199 or step == steps - 1:
            vae_training.keep(state_path, vae, ema, optimizer, step + 1)
    return ema


def write(vae, path):
    """The file again, with this decoder in it."""
    vae_training.fold_eps(vae, to=1e-6)
    exchange(path, {f"{PREFIX}decoder.{name}": tensor for name, tensor in vae.decoder.state_dict().items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--model", type=Path, default=OUT)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    write(train(arguments.model, arguments.folder, arguments.steps, arguments.batch, arguments.rate), arguments.model)


if __name__ == "__main__":
    main()
