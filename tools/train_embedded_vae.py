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
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors.torch import save_file
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib_sdtune import toyworld  # noqa: E402
from lib_sdtune.ldm.vae import AutoencoderKL  # noqa: E402
from tools.embedded_sizes import SCALE_FACTOR, VAE  # noqa: E402

EPS = 1.0


def build():
    torch.manual_seed(0)
    vae = AutoencoderKL(**VAE)
    for module in vae.modules():
        if isinstance(module, nn.GroupNorm):
            module.eps = EPS
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


def pixels(pictures):
    """(B, 3, h, w) in -1..1."""
    return rearrange(torch.from_numpy(np.stack([np.asarray(p) for p in pictures])),
                     "b h w c -> b c h w").float() / 127.5 - 1


def odd_picture(rng):
    """One or two forms of any colours and sizes, so that a subject which is not of this world survives too."""
    any_colour = [np.array([rng.randrange(256) for _ in range(3)]) for _ in range(3)]
    picture = np.full((64, 64, 3), any_colour[0], np.float32)
    for colour in any_colour[1:rng.choice((2, 2, 3))]:
        form = rng.choice(list(toyworld.SHAPES)) if rng.random() < 0.3 else odd_form(rng)
        cover = toyworld.silhouette(form, rng.uniform(18, 46), rng.uniform(18, 46), rng.uniform(9, 27))[..., None]
        picture += cover * (colour - picture)
    return picture


def odd_form(rng):
    """A random polygon on an ellipse or box, perhaps with a hole and a bar."""
    turn, n = rng.uniform(0, 6.3), rng.randint(3, 9)
    corners = [turn + 2 * np.pi * i / n for i in range(n)]
    outline = [(np.cos(corner) * rng.uniform(0.45, 1.1), np.sin(corner) * rng.uniform(0.45, 1.1)) for corner in corners]
    x, y = rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5)
    form = [(rng.choice([outline, toyworld.arc(0, 0, rng.uniform(0.4, 1), rng.uniform(0.4, 1), 0,
                                               rng.choice([180, 360]))]), True)]
    wide, high = rng.uniform(0.1, 0.5), rng.uniform(0.1, 0.9)
    form.append((toyworld.box(x - wide, y - high, x + wide, y + high), True))
    form.append((toyworld.arc(rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5), rng.uniform(0.1, 0.4)), False))
    return form[:rng.randint(1, 3)] if rng.random() < 0.8 else form[1:]


def batch(step, size):
    rng = random.Random(step)
    return pixels([toyworld.draw(toyworld.random_scene(rng)) if rng.random() < 0.6 else odd_picture(rng)
                   for _ in range(size)])


def loss_of(vae, x, generator, sharpen=False):
    with torch.set_grad_enabled(not sharpen):
        z = vae.quant_conv(vae.encoder(x))[:, :4]
    noise = torch.randn(z.shape, generator=generator) * z.detach().std()  # the sampler's latents are not exact either
    y = vae.decode(z + noise * (0.25 * torch.rand(len(z), 1, 1, 1, generator=generator) if sharpen else 0.05))
    edges = F.max_pool2d((F.max_pool2d(x, 3, 1, 1) + F.max_pool2d(-x, 3, 1, 1)).amax(1, keepdim=True).clamp(0, 1), 3, 1,
                         1)
    error = y - x
    return ((error.abs() + 2 * error.square()) * (1 + 3 * edges)).mean() + 1e-4 * z.square().mean(), error


def train(folder, steps, size, rate, sharpen=False):
    """sharpen: only the decoder, from latents that are up to a quarter noise; latents stay as they are."""
    vae = build()
    ema = copy.deepcopy(vae).eval()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=1e-4)
    start, state = 0, folder / ("sharp-state.pt" if sharpen else "vae-state.pt")
    if sharpen and not state.exists():
        state = torch.load(folder / "vae-state.pt", weights_only=True)
        vae.load_state_dict(state["ema"])
        ema.load_state_dict(state["ema"])
    elif state.exists():
        state = torch.load(state, weights_only=True)
        vae.load_state_dict(state["vae"])
        ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    began, psnr = time.time(), 0.0
    for step in range(start, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 50) * min(1, 0.02 + 4 * (1 - step / steps) / 3)
        loss, error = loss_of(vae, batch(step + 10**6 * sharpen, size), torch.Generator().manual_seed(step), sharpen)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for a, b in zip(ema.parameters(), vae.parameters(), strict=True):
                a.lerp_(b, 1 - min(0.995, step / (step + 10)))
            psnr = 0.98 * psnr + 0.02 * float(-10 * torch.log10(error.square().mean() / 4))
        if step % 50 == 49:
            done = step + 1 - start
            pace = (time.time() - began) / done
            print(f"{step + 1} loss {loss.item():.4f} psnr {psnr / (1 - 0.98**done):.2f} {pace:.3f} s/step", flush=True)
        if step % 200 == 199 or step == steps - 1:
            state = {"vae": vae.state_dict(), "ema": ema.state_dict(), "optimizer": optimizer.state_dict(),
                     "step": step + 1}
            torch.save(state, state.with_suffix(".tmp"))
            state.with_suffix(".tmp").replace(state)
    return ema


@torch.no_grad()
def fold_eps(vae, eps=1e-6):
    """The same function with GroupNorm's usual eps: everything that a norm reads is made sqrt(eps / EPS) times as
    large.
    """
    s = (eps / EPS) ** 0.5
    for part in (vae.encoder, vae.decoder):
        for name, module in part.named_modules():
            if isinstance(module, nn.GroupNorm):
                module.eps = eps
            elif name.endswith((".conv1", ".conv2", ".proj_out", "conv_in")):
                module.weight.mul_(s)
                module.bias.mul_(s)
            elif name.endswith(("sample.conv", "nin_shortcut")):
                module.bias.mul_(s)


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
    parser.add_argument("--sharpen", action="store_true",
                        help="go on with the decoder alone, after the UNet's training or beside it")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    vae = train(args.folder, args.steps, args.batch, args.rate, args.sharpen)
    finish(vae, args.folder)


@torch.no_grad()
def finish(vae, folder):
    rng = random.Random(10**9)
    world = pixels([toyworld.draw(toyworld.random_scene(rng)) for _ in range(512)])
    before = vae.decode(vae.quant_conv(vae.encoder(world[:16]))[:, :4])
    fold_eps(vae)
    whiten(vae, world)
    after = vae.decode(vae.encode(world[:16])[0])
    subjects = pixels([toyworld.draw(toyworld.random_scene(rng, form=f)) for f in toyworld.SUBJECTS for _ in range(16)])
    facts = {"fold_error": (before - after).abs().max().item(), "psnr_world": psnr(vae, world[:128]),
             "psnr_unseen": psnr(vae, subjects)}
    save_file({name: t.contiguous() for name, t in vae.state_dict().items()}, folder / "vae.safetensors")
    print(json.dumps(facts))


def psnr(vae, x):
    return -10 * torch.log10((vae.decode(vae.encode(x)[0]).clamp(-1, 1) - x).square().mean() / 4).item()


if __name__ == "__main__":
    main()
