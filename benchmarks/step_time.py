"""How near a LoRA step comes to what it cannot avoid: forward and backward through the activations of the frozen UNet.

    python -m benchmarks.step_time [--unet embedded|sd15|both] [--batch 1 2] [--rounds 12]

Both are measured in one process, taking turns, with the same sizes; the figures are medians. Peak memory is measured in
a process of its own for each of the two.
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

from lib_sdtune import families
from lib_sdtune.config import Config
from lib_sdtune.host.base import LoadedModel
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.ldm.unet import UNetModel
from lib_sdtune.ldm.vae import AutoencoderKL
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
    return LoadedModel(families.registry["sd1"](), unet, vae, [text], Words(), schedule, size, size, resolution=side)


@contextmanager
def lora_trainer(model, batch, folder):
    """A `Trainer` that is past its preparation."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for number in range(4):
        Image.effect_noise((model.resolution, model.resolution), 64 + number).convert("RGB").save(pictures / f"{number}.png")
    config = Config.from_dict({
        "name": "step", "concepts": [{"images": str(pictures), "prompt": "a picture", "repeats": 8}],
        "dataset": {"resolution": model.resolution, "min_bucket_reso": 64}, "lora": {"dim": 16, "alpha": 8, "text_encoder_lr": 0},
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


def seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def compare(size, batch, rounds):
    """(seconds of the floor, seconds of a LoRA step), medians of `rounds` turns each."""
    model = random_model(size)
    bare, ours = [], []
    with tempfile.TemporaryDirectory() as folder:
        once = floor(model, batch)
        for turn in range(-1, rounds):  # the first turn warms up
            bare.append(seconds(once))
            with lora_trainer(model, batch, Path(folder)) as trainer:
                trainer.advance()
                ours += [seconds(trainer.advance) for _ in range(2)]
            if turn < 0:
                bare, ours = [], []
    return statistics.median(bare), statistics.median(ours)


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
    print("| UNet | pixels | batch | floor s | LoRA step s | step / floor | peak / floor |\n|---|---|---|---|---|---|---|")
    for size in SIZES if arguments.unet == "both" else [arguments.unet]:
        for batch in arguments.batch:
            bare, ours = compare(size, batch, arguments.rounds)
            memory = peak_apart("lora", size, batch) / peak_apart("floor", size, batch)
            print(f"| {size} | {SIZES[size][1]} | {batch} | {bare:.3f} | {ours:.3f} | {ours / bare:.2f} | {memory:.2f} |", flush=True)


if __name__ == "__main__":
    main()
