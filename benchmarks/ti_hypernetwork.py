"""Textual inversion and hypernetworks: against the floor, and beside the WebUI's own trainers. What they teach:
`similarity`.

    python -m benchmarks.ti_hypernetwork floor [--unet embedded sd15] [--rounds 12]
    SDTUNE_WEBUI_DIR=... SDTUNE_WEBUI_PYTHON=... python -m benchmarks.ti_hypernetwork webui [--steps 200] [--seeds 1 2
    3]

The floor is what no trainer can leave out: forward through the frozen parts and backward through their activations (the
UNet, and for textual inversion the text encoder too). `floor` measures our trainer alone; `webui` runs both trainers on
the embedded model inside the WebUI, in turns, with its own pictures, templates, learning rate and number of steps.
Figures are medians; memory is the growth of the resident set over what was there before the training, in a process of
its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from benchmarks.step_time import floor as unet_floor
from benchmarks.step_time import random_model, seconds
from lib_sdtune.config import Config
from lib_sdtune.training.control import Control
from lib_sdtune.training.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent
METHODS = ("textual_inversion", "hypernetwork")


def trainer(method, model, folder, batch):
    """A `Trainer` for four pictures of noise that never ends."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for number in range(4):
        Image.effect_noise((model.resolution, model.resolution),
                           64 + number).convert("RGB").save(pictures / f"{number}.png")
    config = Config.from_dict({
        "name": "zwx", "method": method,
        "concepts": [{"images": str(pictures), "prompt": "a picture of [name]", "repeats": 8}],
        "dataset": {"resolution": model.resolution, "min_bucket_reso": 64},
        "train": {"batch_size": batch, "max_train_steps": 10**6},
        "save": {"state_every_n_steps": 0}})
    path = folder / "sdtune" / "runs" / "zwx"
    path.mkdir(parents=True, exist_ok=True)
    return Trainer(config, model, Control(config, path))


def floor_table(unets, batch, rounds):
    print("| UNet | method | batch | floor s | step s | step / floor |\n|---|---|---|---|---|---|")
    for size in unets:
        model, times = random_model(size), {name: [] for name in ("floor", *METHODS)}
        once = unet_floor(model, batch)
        with tempfile.TemporaryDirectory() as folder:
            for turn in range(-1, rounds):
                seconds_each = {"floor": [seconds(once)]}
                for method in METHODS:
                    with trainer(method, model, Path(folder), batch) as ours:
                        ours.advance()
                        seconds_each[method] = [seconds(ours.advance) for _ in range(2)]
                if turn >= 0:  # the first turn warms up
                    for name, values in seconds_each.items():
                        times[name] += values
        middle = {name: statistics.median(values) for name, values in times.items()}
        for method in METHODS:
            ratio = middle[method] / middle["floor"]
            print(f"| {size} | {method} | {batch} | {middle['floor']:.3f} | {middle[method]:.3f} | {ratio:.2f} |",
                  flush=True)


# beside the WebUI's own trainers

def inside(*arguments):
    """The last line that `benchmarks.webui_trainers` prints under the WebUI's Python, as JSON."""
    command = [os.environ["SDTUNE_WEBUI_PYTHON"], "-m", "benchmarks.webui_trainers", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def webui_table(steps, seeds, methods):
    print("| method | who | step / floor | memory / floor | validation loss before | after |\n"
          "|---|---|---|---|---|---|")
    for method in methods:
        times = inside("time", method)
        grown = {who: inside("memory", method, who) for who in ("floor", "theirs", "ours")}
        losses = {who: inside("learn", method, who, "--steps", steps, "--seeds", *seeds) for who in ("theirs", "ours")}
        for who in ("theirs", "ours"):
            after = losses[who]["after"]
            spread = statistics.stdev(after) if len(after) > 1 else 0.0
            print(f"| {method} | {who} | {times[who] / times['floor']:.2f} | {grown[who] / grown['floor']:.2f} | "
                  f"{losses[who]['before']:.4f} | {statistics.mean(after):.4f} ± {spread:.4f} |", flush=True)
        print(f"{method}: ours ends lower by {lower(**{who: losses[who]['after'] for who in losses})}", flush=True)


def lower(theirs, ours):
    """The difference of the means with its standard error."""
    error = (sum(statistics.variance(method) / len(method) for method in (theirs, ours)) ** 0.5
             if min(len(theirs), len(ours)) > 1 else float("nan"))
    return f"{statistics.mean(theirs) - statistics.mean(ours):.4f} ± {error:.4f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["floor", "webui"])
    parser.add_argument("--unet", nargs="+", default=["embedded"], choices=["embedded", "sd15"])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    arguments = parser.parse_args()
    if arguments.what == "floor":
        floor_table(arguments.unet, arguments.batch, arguments.rounds)
    else:
        webui_table(arguments.steps, arguments.seeds, arguments.methods)


if __name__ == "__main__":
    main()
