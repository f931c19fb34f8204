"""Trains the embedded model's autoencoder on drawings: python tools/train_embedded_vae.py FOLDER [--steps 2000].

About ten minutes on two free cores. What makes so small a one work: GroupNorm with eps 1 while training (a picture
that is flat stays flat), channel pairs (x, -x) that carry the mean colours straight through, edges weighted more, and
an EMA. FOLDER keeps the state (run it again to go on) and, at the end, `vae.safetensors`: eps folded away, latents
whitened, so that Stable Diffusion's scale factor 0.18215 holds.
"""

import argparse
import copy
import json
import random
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib_sdtune import toyworld
from lib_sdtune.ldm.vae import AutoencoderKL
from tools import vae_drawings, vae_training
from tools.embedded_sizes import SCALE_FACTOR, VAE


def build():
    torch.manual_seed(0)
    vae = AutoencoderKL(**VAE)
    for module in vae.modules():
        if isinstance(module, nn.GroupNorm):
            module.eps = vae_training.EPS
    start_linear(vae)
    return vae


@torch.no_grad()
def start_linear(vae):
    """Start as an autoencoder of mean colours: three channel pairs (x, -x), on which norm and SiLU act as identity."""
    for name, module in vae.named_modules():
        if name.endswith((".conv2", ".proj_out")):
            module.weight.mul_(0.1)
            module.bias.zero_()
    encoder, decoder = vae.encoder, vae.decoder
    for c in range(3):
        plus, minus = 2 * c, 2 * c + 1
        for channel, sign in ((plus, 1), (minus, -1)):
            only(encoder.conv_in, channel, c, (1, 1), sign)
            for down in encoder.down[:-1]:
                only(down.downsample.conv, channel, channel, (slice(0, 2), slice(0, 2)), 0.25)
            only(decoder.conv_in, channel, c, (1, 1), sign)
            for up in decoder.up[1:]:
                kernel = torch.tensor([0.25, 0.5, 0.25])
                only(up.upsample.conv, channel, channel, (slice(0, 3), slice(0, 3)), kernel[:, None] * kernel)
        for conv in (encoder.conv_out, decoder.conv_out):
            conv.weight[c].mul_(0.1)
            conv.bias[c] = 0
            conv.weight[c, plus, 1, 1], conv.weight[c, minus, 1, 1] = 1, -1
    for conv in (vae.quant_conv, vae.post_quant_conv):
        conv.weight.copy_(torch.eye(conv.weight.shape[0])[:, :, None, None])
        conv.bias.zero_()


def only(conv, to, source, taps, value):
    conv.weight[to] = 0
    conv.bias[to] = 0
    conv.weight[(to, source, *taps)] = value


def loss_of(vae, x, generator):
    z = vae.quant_conv(vae.encoder(x))[:, :4]
    noise = torch.randn(z.shape, generator=generator) * z.detach().std()  # the sampler's latents are not exact either
    error = vae.decode(z + noise * 0.05) - x
    return vae_training.edge_loss(error, x) + 1e-4 * z.square().mean(), error


def train(folder, steps, size, rate):
    vae = build()
    ema, state_path = copy.deepcopy(vae).eval(), folder / "vae-state.pt"
    optimizer = torch.optim.AdamW(vae.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=1e-4)
    start = vae_training.restore(state_path, vae, ema, optimizer)
    progress = vae_training.Progress(start)
    for step in range(start, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * vae_training.warm_and_linear(step, steps)
        loss, error = loss_of(vae, vae_drawings.batch(step, size), torch.Generator().manual_seed(step))
        vae_training.step(vae, ema, optimizer, loss, step)
        progress.say(step, loss, error)
        if step % 200 == 199 or step == steps - 1:
            vae_training.keep(state_path, vae, ema, optimizer, step + 1)
    return ema


@torch.no_grad()
def whiten(vae, pictures):
    """Latents of `pictures` get mean 0 and covariance 1 / SCALE_FACTOR^2, and a small constant std; decoding undoes it.
    """
    z = vae.quant_conv(vae.encoder(pictures))[:, :4].transpose(0, 1).flatten(1).double()
    mean = z.mean(1, keepdim=True)
    values, vectors = torch.linalg.eigh((z - mean) @ (z - mean).T / z.shape[1])
    forth = vectors @ torch.diag(values.rsqrt()) @ vectors.T / SCALE_FACTOR
    back = torch.linalg.inv(forth)
    quant, post = vae.quant_conv, vae.post_quant_conv
    weight, bias = quant.weight[:4, :, 0, 0].double(), quant.bias[:4].double()
    quant.weight.zero_()
    quant.weight[:4, :, 0, 0] = (forth @ weight).float()
    quant.bias[:4] = (forth @ (bias - mean[:, 0])).float()
    quant.bias[4:] = 2 * np.log(0.02 / SCALE_FACTOR)
    weight = post.weight[:, :, 0, 0].double()
    post.bias.add_((weight @ mean[:, 0]).float())
    post.weight[:, :, 0, 0] = (weight @ back).float()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=5e-4)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    vae = train(args.folder, args.steps, args.batch, args.rate)
    finish(vae, args.folder)


@torch.no_grad()
def finish(vae, folder):
    rng = random.Random(10**9)
    world = vae_drawings.pixels([toyworld.draw(toyworld.random_scene(rng)) for _ in range(512)])
    before = vae.decode(vae.quant_conv(vae.encoder(world[:16]))[:, :4])
    vae_training.fold_eps(vae, to=1e-6)
    whiten(vae, world)
    after = vae.decode(vae.encode(world[:16])[0])
    subjects = vae_drawings.pixels([toyworld.draw(toyworld.random_scene(rng, form=form))
                                    for form in toyworld.SUBJECTS for _ in range(16)])
    facts = {"fold_error": (before - after).abs().max().item(), "psnr_world": psnr(vae, world[:128]),
             "psnr_unseen": psnr(vae, subjects)}
    save_file({name: t.contiguous() for name, t in vae.state_dict().items()}, folder / "vae.safetensors")
    print(json.dumps(facts))


def psnr(vae, x):
    return -10 * torch.log10((vae.decode(vae.encode(x)[0]).clamp(-1, 1) - x).square().mean() / 4).item()


if __name__ == "__main__":
    main()
