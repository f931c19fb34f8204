"""How near a step of the whole UNet comes to what it cannot avoid: forward, full backward, and a fused optimizer step.

    python -m benchmarks.full_step [--size embedded|narrow|sd15] [--ways floor AdamW Lion AdamW-bfloat16] [--steps 3]

Every way is measured in a process of its own, with random weights of Stable Diffusion 1.5's size at 256 pixels; sd15
wants 16 GB of memory for the floor and 12 for our AdamW. Seconds are medians; processor seconds count all threads, so
they say more on a busy machine. Peak is the process's largest resident memory up to the end of the last step.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

from benchmarks.step_time import SIZES, random_model
from lib_sdtune.config import Config
from lib_sdtune.training.control import Control
from lib_sdtune.training.trainer import Trainer

SIZES["narrow"] = {"model_channels": 128}, 256  # Stable Diffusion 1.5's shape with a sixth of its weights


def floor(model, steps):
    """All gradients, then torch's fused AdamW: what a plain loop does at best."""
    side, batch = model.resolution // 8, 1
    width = model.unet.input_blocks[1][1].transformer_blocks[0].attn2.to_k.weight.shape[1]
    context, timesteps = torch.randn(batch, 77, width), torch.randint(0, 1000, (batch,))
    optimizer = torch.optim.AdamW(model.unet.requires_grad_(True).parameters(), lr=1e-6, fused=True)

    def once():
        noisy = torch.randn(batch, 4, side, side)
        model.unet(noisy, timesteps, context=context).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return timed(once, steps)


def ours(model, steps, way):
    """`way`: an optimizer, and after a dash what "dreambooth.weights" is, if not "auto"."""
    optimizer, _, weights = way.partition("-")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "sdtune" / "runs" / "step"
        folder.mkdir(parents=True)
        pictures = Path(work) / "pictures"
        pictures.mkdir()
        for number in range(4):
            Image.effect_noise((model.resolution, model.resolution),
                               64 + number).convert("RGB").save(pictures / f"{number}.png")
        config = Config.from_dict({
            "name": "step", "method": "dreambooth",
            "concepts": [{"images": str(pictures), "prompt": "a picture", "repeats": 8}],
            "dreambooth": {"weights": weights or "auto"},
            "dataset": {"resolution": model.resolution, "min_bucket_reso": 64},
            "train": {"optimizer": optimizer, "max_train_steps": 10**6},
            "save": {"state_every_n_steps": 0}})
        with Trainer(config, model, Control(config, folder)) as trainer:
            return timed(trainer.advance, steps)


def timed(once, steps):
    """Wall seconds and processor seconds of a step, and the peak in GiB."""
    wall, busy = [], []
    for _ in range(steps + 1):  # the first one makes the optimizer's memory
        started, spent = time.perf_counter(), time.process_time()
        once()
        wall.append(time.perf_counter() - started)
        busy.append(time.process_time() - spent)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": statistics.median(wall[1:]), "processor": statistics.median(busy[1:]), "peak": peak}


def apart(way, size, steps):
    command = [sys.executable, "-m", "benchmarks.full_step", "--one", way, "--size", size, "--steps", str(steps)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="sd15", choices=["embedded", "narrow", "sd15"])
    parser.add_argument("--ways", nargs="+", default=["floor", "AdamW", "Lion", "AdamW-bfloat16", "Lion-bfloat16"],
                        help="floor, or an optimizer of ours, with -bfloat16 for such weights")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        model = random_model(arguments.size)
        print(json.dumps(floor(model, arguments.steps)
                         if arguments.one == "floor" else ours(model, arguments.steps, arguments.one)))
        return
    print(f"| {arguments.size} | seconds a step | processor seconds | peak GiB |\n|---|---|---|---|")
    for way in arguments.ways:
        figures = apart(way, arguments.size, arguments.steps)
        print(f"| {way} | {figures['seconds']:.2f} | {figures['processor']:.2f} | {figures['peak']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
