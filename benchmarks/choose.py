"""Does the ranking order deliberately under-, well- and over-trained files as the truth does?

    python -m benchmarks.choose [--seeds 3] [--out benchmarks/choose.json]

One run on the embedded model per seed, with a learning rate that ends in over-training; its files saved early, in the
middle and at the end are ranked by what a user has (pictures and the model), and measured by what only the toy world
knows: the share of pictures with the taught form, and the share of colours and backgrounds that are those asked for.
The truth of a file is the product of the two.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks import measures, toyworld
from lib_sdtune.choose.candidates import of_run
from lib_sdtune.choose.choice import Choice
from lib_sdtune.choose.judge import opened
from lib_sdtune.choose.wishes import read
from lib_sdtune.config import Config, Model
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.training.run import run as train
from lib_sdtune.training.runs import RunFolder, begin

EXAMPLE = Path(__file__).parents[1] / "examples" / "ron"
ASKED = [("red", "snow"), ("blue", "sand"), ("green", "night"), ("yellow", "sky")]
STEPS = {"under": 15, "well": 150, "over": 450}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs=3, default=list(STEPS.values()), help="under, well, over")
    parser.add_argument("--out", default="")
    args = parser.parse_args()
    rows = [row for seed in range(1, args.seeds + 1) for row in one(seed, args.steps)]
    print(table(rows))
    if args.out:
        Path(args.out).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def one(seed, steps):
    """The rows of one seed."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        host = EmbeddedHost(Path(place))
        config = Config.from_dict(settings(wordless(Path(place)), seed, steps), host.defaults(Model()))
        train(config, host, begin(config, host))
        run = RunFolder(host.folder("sdtune") / "runs" / config.name)
        saved = {one.step: one.stem for one in of_run(host, run)}  # those at an epoch's end are called by the epoch
        kept = [saved[step] for step in steps]
        prompts = [f"a photo of a {colour} ron toy on {background}" for colour, background in ASKED]
        choice = Choice(host, run, read({"prompts": prompts, "files": kept, "seeds": [1, 2], "strength": False}))
        made = choice.make()
        places = {one["file"]: number for number, one in enumerate(made["ranking"], 1)}
        found = []
        for name, file in zip(STEPS, kept, strict=True):
            ranked = next(entry for entry in made["ranking"] if entry["file"] == file)
            found.append({"seed": seed, "trained": name, "step": ranked["step"], "place": places[file], "score": ranked["score"],
                          **{key: ranked[key] for key in ("subject", "prompt", "variety", "copies")}, **truth(choice, file)})
    order = sorted(found, key=lambda row: -row["truth"])
    for number, row in enumerate(order, 1):
        row["true_place"] = number
    print(f"seed {seed}: {time.perf_counter() - started:.0f} s\n{table(found)}", flush=True)
    return found


def wordless(place):
    """The example's pictures without their captions, so that over-training makes a file forget other colours and places."""
    folder = place / "pictures"
    folder.mkdir()
    for path in (EXAMPLE / "ron").glob("*.png"):
        shutil.copy(path, folder)
    return folder


def settings(images, seed, steps):
    """One prompt for all pictures and a high rate."""
    return {"name": "ron", "concepts": [{"images": str(images), "prompt": "a photo of a ron toy"}],
            "lora": {"dim": 8, "alpha": 8, "unet_lr": 8e-3, "text_encoder_lr": 1e-3},
            "train": {"seed": seed, "max_train_steps": steps[2], "batch_size": 8, "lr_scheduler": "constant"},
            "save": {"every_n_steps": steps[0], "state_every_n_steps": 0}, "sample": {"steps": 12, "cfg_scale": 4.0}}


def truth(choice, file):
    """What the toy world knows of the same pictures."""
    form = json.loads((EXAMPLE / "show.json").read_text(encoding="utf-8"))["form"]
    cells = [cell for cell in choice.cells if cell.candidate is not None and cell.candidate.stem == file]
    pictures = [opened(choice.grid.path(cell)) for cell in cells]
    things = [toyworld.Thing(form, *ASKED[cell.row]) for cell in cells]
    shown = measures.subject_fidelity(pictures, form)
    asked = measures.prompt_fidelity(pictures, things)
    words = (asked["colour"] + asked["background"]) / 2
    return {"true_subject": shown, "true_words": words, "truth": shown * words}


def table(rows):
    heads = ("seed", "trained", "step", "place", "true_place", "score", "truth", "subject", "prompt", "variety", "copies",
             "true_subject", "true_words")
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(shown(row[name]) for name in heads) + " |" for row in rows])


def shown(value):
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
