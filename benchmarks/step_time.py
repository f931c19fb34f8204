"""How near a LoRA step comes to what it cannot avoid: forward and backward through the activations of the frozen UNet.

    python -m benchmarks.step_time [--unet embedded|sd15|both] [--batch 1 2] [--rounds 12]

Beside them stands the shortest LoRA step that one would write by hand, of the same layers and dim: nothing but its two
products a layer, the loss, clipping and a fused AdamW. All are measured in one process, taking turns, with the same
sizes; the figures are medians. Peak memory is measured in processes of their own.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image
from torch.nn import functional as F

from lib_sdtune import families
from lib_sdtune.config import Config
from lib_sdtune.families.variant import Variant
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.ldm.unet import UNetModel
from lib_sdtune.ldm.vae import AutoencoderKL
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.training.control import Control
from lib_sdtune.training.trainer import Trainer

SIZES = {"embedded": ({"model_channels": 64, "channel_mult": (1, 1, 2, 2), "context_dim": 64}, 64), "sd15": ({}, 256)}


class Words:
    """A tokenizer that knows one word."""

    start, end, pad = 1, 2, 2

    def __call__(self, text):
        return [3] * len(text.split())


def random_model(size):
    """A `LoadedModel` with a random UNet of that size; the other parts are as small as they can be."""
    torch.manual_seed(0)
    settings, side = SIZES[size]
    width = settings.get("context_dim", 768)
    unet = UNetModel(**settings)
    for p in unet.parameters():
        p.requires_grad_(False)
    vae = AutoencoderKL(ch=32, ch_mult=(1, 1, 1, 1), num_res_blocks=1)
    text = CLIPTextModel(vocab_size=8, width=width, layers=1, heads=4)
    schedule = torch.linspace(0.9999, 0.005, 1000)
    return LoadedModel(families.registry["sd1"](), unet, vae, [text], Words(), schedule, size, size,
                       Variant(resolution=side))


@contextmanager
def lora_trainer(model, batch, folder):
    """A `Trainer` that is past its preparation."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for number in range(4):
        Image.effect_noise((model.resolution, model.resolution),
                           64 + number).convert("RGB").save(pictures / f"{number}.png")
    config = Config.from_dict({
        "name": "step", "concepts": [{"images": str(pictures), "prompt": "a picture", "repeats": 8}],
        "dataset": {"resolution": model.resolution, "min_bucket_reso": 64},
        "lora": {"dim": 16, "alpha": 8, "text_encoder_lr": 0},
        "train": {"batch_size": batch, "max_train_steps": 10**6}, "save": {"state_every_n_steps": 0}})
    run = folder / "sdtune" / "runs" / "step"
    run.mkdir(parents=True, exist_ok=True)
    with Trainer(config, model, Control(config, run)) as trainer:
        yield trainer


def floor(model, batch):
    """A function that does what no trainer can leave out."""
    side = model.resolution // 8
    width = model.unet.input_blocks[1][1].transformer_blocks[0].attn2.to_k.weight.shape[1]
    context, timesteps = torch.randn(batch, 77, width), torch.randint(0, 1000, (batch,))

    def once():
        noisy = torch.randn(batch, 4, side, side, requires_grad=True)
        model.unet(noisy, timesteps, context=context).square().mean().backward()

    return once


@contextmanager
def lora_by_hand(model, batch, dim=16):
    """A function that does a LoRA step and nothing else."""
    layers = [target.layer for target in model.family.targets(model)
              if target.part == "unet" and target.kind == "attention"]
    pairs = [(torch.randn(dim, layer.weight.shape[1], requires_grad=True),
              torch.zeros(len(layer.weight), dim, requires_grad=True))
             for layer in layers]
    learned = [tensor for pair in pairs for tensor in pair]
    optimizer = torch.optim.AdamW(learned, lr=1e-4, fused=True)
    side, width = model.resolution // 8, model.text_encoders[0].text_model.embeddings.token_embedding.weight.shape[1]
    context = torch.randn(batch, 77, width)

    def once():
        noise, latents = torch.randn(batch, 4, side, side), torch.randn(batch, 4, side, side)
        timesteps = torch.randint(0, 1000, (batch,))
        answer = model.unet(0.7 * latents + 0.7 * noise, timesteps, context=context)
        (answer - noise).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    for layer, (down, up) in zip(layers, pairs, strict=True):
        layer.forward = product_beside(layer, down, up)
    try:
        yield once
    finally:
        for layer in layers:
            del layer.forward


def product_beside(layer, down, up, scale=0.5):
    straight = layer.forward
    if isinstance(layer, torch.nn.Conv2d):
        return lambda x: straight(x) + F.conv2d(F.conv2d(x, down[:, :, None, None]), up[:, :, None, None]) * scale
    return lambda x: straight(x) + F.linear(F.linear(x, down), up) * scale


def seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def compare(size, batch, rounds):
    """Seconds of the floor, of a LoRA step by hand, and of ours: medians of `rounds` turns each."""
    model = random_model(size)
    bare, by_hand, ours = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        once = floor(model, batch)
        for turn in range(-1, rounds):  # the first turn warms up
            bare += [seconds(once) for _ in range(2)]
            with lora_by_hand(model, batch) as step:
                step()
                by_hand += [seconds(step) for _ in range(2)]
            with lora_trainer(model, batch, Path(folder)) as trainer:
                trainer.advance()
                ours += [seconds(trainer.advance) for _ in range(2)]
            if turn < 0:
                bare, by_hand, ours = [], [], []
    return tuple(map(statistics.median, (bare, by_hand, ours)))


def peak(what, size, batch):
    """Peak memory of this process in MB after a few of `what`."""
    model = random_model(size)
    if what == "floor":
        once = floor(model, batch)
        for _ in range(3):
            once()
    else:
        with tempfile.TemporaryDirectory() as folder, lora_trainer(model, batch, Path(folder)) as trainer:
            for _ in range(3):
                trainer.advance()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak_apart(what, size, batch):
    command = [sys.executable, "-m", "benchmarks.step_time", "--peak", what, "--unet", size, "--batch", str(batch)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--unet", default="both", choices=[*SIZES, "both"])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--peak", choices=["floor", "lora"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print(json.dumps(peak(arguments.peak, arguments.unet, arguments.batch[0])))
        return
    print("| UNet | pixels | batch | floor s | by hand / floor | step / floor | peak / floor "
          "|\n|---|---|---|---|---|---|---|")
    for size in SIZES if arguments.unet == "both" else [arguments.unet]:
        for batch in arguments.batch:
            bare, by_hand, ours = compare(size, batch, arguments.rounds)
            memory = peak_apart("lora", size, batch) / peak_apart("floor", size, batch)
            ratios = f"{by_hand / bare:.2f} | {ours / bare:.2f} | {memory:.2f}"
            print(f"| {size} | {SIZES[size][1]} | {batch} | {bare:.3f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
