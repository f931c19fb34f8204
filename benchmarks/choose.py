"""Does the ranking order deliberately under-, well- and over-trained files as the truth does?

    python -m benchmarks.choose [--seeds 3] [--out benchmarks/choose.json]    (--only 2 measures one seed again)

Two runs on the embedded model per seed. The careful one is the demo's: ten pictures with captions, pictures of the
class, a falling rate; its file of step 20 is under-trained and its last one well trained. The careless one has four of
the pictures without captions, a LoRA with 8 times the dims, convolutions too, and a high rate for long; its last file
is over-trained. The three are ranked by what a user has (the pictures and the model), and measured by what only the toy
world knows: the share of pictures with the taught form, and the share of colours and backgrounds that are those asked
for. The truth of a file is the product of the two. A second table does the same within the careless run, whose other
six pictures are kept aside for validation.
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from pathlib import Path

from lib_sdtune import toyworld
from lib_sdtune.config import Config
from lib_sdtune.evaluation.any_files import AnyFiles
from lib_sdtune.evaluation.candidates import of_run
from lib_sdtune.evaluation.evaluation import Evaluation
from lib_sdtune.evaluation.judge import opened
from lib_sdtune.evaluation.settings import read
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.pages.contact_sheet import contact_sheet
from lib_sdtune.sections.model import Model
from lib_sdtune.toyworld import measures
from lib_sdtune.training.overfitting import assess
from lib_sdtune.training.run import run as train
from lib_sdtune.training.runs import RunFolder, begin

EXAMPLE = Path(__file__).parents[1] / "examples" / "ron"
SHOW = json.loads((EXAMPLE / "show.json").read_text(encoding="utf-8"))
UNDER, STEPS = 20, 400
CARELESS = [25, 50, 100, 200]
SAMPLES = {"steps": 12, "cfg_scale": 4.0}
WORDS = [prompt.split() for prompt in SHOW["prompts"]]  # "a photo of a red ron toy on grass"
ASKED = [toyworld.Scene(SHOW["form"], next(word for word in words if word in toyworld.COLOURS), words[-1])
         for words in WORDS]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", type=int, default=0)
    parser.add_argument("--out", default="")
    parser.add_argument("--sheet", default="", help="a picture of the three files of the last seed")
    args = parser.parse_args()
    seeds = read_back(args.out) if args.only else {}
    for seed in [args.only] if args.only else range(1, args.seeds + 1):
        seeds[seed] = compare_seed(seed, args.sheet)
        if args.out:
            Path(args.out).write_text(json.dumps(list(dict(sorted(seeds.items())).values()), indent=1) + "\n",
                                      encoding="utf-8")
    print(summary(list(dict(sorted(seeds.items())).values())))


def read_back(path):
    return ({seed["seed"]: seed for seed in json.loads(Path(path).read_text(encoding="utf-8"))}
            if path and Path(path).exists() else {})


def summary(seeds):
    tables = [table([row for seed in seeds for row in seed[kind]]) for kind in ("runs", "epochs")]
    verdicts = [f"seed {seed['seed']}, careless: {seed['verdict']}" for seed in seeds]
    wells = [row for seed in seeds for row in seed["runs"] if row["trained"] == "well"]
    return "\n\n".join([*tables, "\n".join(verdicts), (
        f"The well trained file is first in {sum(row['place'] == 1 for row in wells)} of {len(wells)} (by the truth in "
        f"{sum(row['true_place'] == 1 for row in wells)}). Within the careless run the proposal reaches on average "
        f"{sum(reached(seed['epochs']) for seed in seeds) / len(seeds):.2f} of the best truth.")])


def compare_seed(seed, sheet_path=""):
    """{"seed", "runs": rows of the three files, "epochs": rows of the careless run's, "verdict": what its curves say}.
    """
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        host = EmbeddedHost(Path(place))
        careful, careless = trained(host, carefully(seed)), trained(host, carelessly(seed, Path(place)))
        trained_at = time.perf_counter()
        files = [renamed(host, step(host, careful, UNDER), "under"), renamed(host, step(host, careful), "well"),
                 renamed(host, step(host, careless), "over")]
        three = Evaluation(host, AnyFiles(host, "three", files, str(EXAMPLE / "ron")), evaluation_settings())
        stems = [step(host, careless, number).stem for number in CARELESS] + [step(host, careless).stem]
        within = Evaluation(host, careless, evaluation_settings(files=stems))
        figures = {"seed": seed, "runs": rows(seed, three, sheet_path), "epochs": rows(seed, within),
                 "verdict": assess(careless.log())["sentence"]}
    print(f"seed {seed}: training {trained_at - started:.0f} s, comparing {time.perf_counter() - trained_at:.0f} s",
          flush=True)
    return figures


# the runs

def carefully(seed):
    demo = json.loads((EXAMPLE / "demo.json").read_text(encoding="utf-8"))
    concept = demo["concepts"][0]
    concept |= {key: str(EXAMPLE / concept[key]) for key in ("images", "class_images")}
    demo["train"]["seed"] = seed
    return demo | {"name": "careful", "save": {"every_n_steps": UNDER, "state_every_n_steps": 0}, "sample": SAMPLES}


def carelessly(seed, place):
    folder, aside = place / "pictures", place / "aside"
    pictures = random.Random(seed).sample(sorted((EXAMPLE / "ron").glob("*.png")), 10)
    for part, paths in ((folder, pictures[:4]), (aside, pictures[4:])):
        part.mkdir()
        for path in paths:
            shutil.copy(path, part)
    return {"name": "careless", "concepts": [{"images": str(folder), "prompt": "a photo of a ron toy"}],
            "lora": {"dim": 64, "alpha": 64, "conv_dim": 64, "conv_alpha": 64, "unet_lr": 3e-3,
                     "text_encoder_lr": 3e-3},
            "train": {"seed": seed, "max_train_steps": STEPS, "batch_size": 4, "lr_scheduler": "cosine"},
            "validation": {"images": str(aside), "every_n_steps": CARELESS[0]},
            "save": {"every_n_steps": CARELESS[0], "state_every_n_steps": 0}, "sample": SAMPLES}


def trained(host, settings):
    config = Config.from_dict(settings, host.defaults(Model()))
    train(config, host, begin(config, host))
    return RunFolder(host.folder("sdtune") / "runs" / config.name)


def step(host, run, number=None):
    """The file that a run saved at a step; its last one if none is named."""
    files = of_run(host, run)
    return next(candidate for candidate in files if candidate.step == number) if number else files[-1]


def renamed(host, candidate, name):
    return Path(shutil.copy(candidate.path, host.folder("lora") / f"{name}.safetensors"))


def evaluation_settings(**changes):
    return read({"prompts": SHOW["prompts"], "seeds": [1, 2, 3], "strength": False, **SAMPLES, **changes})


# the figures

def rows(seed, choice, sheet_path=""):
    """One row a file, in the order of the files."""
    evaluated, rows = choice.make(), []
    if sheet_path:
        draw(choice, evaluated, sheet_path)
    for candidate in choice.candidates:
        place, entry = next((place, entry) for place, entry in enumerate(evaluated["ranking"], 1)
                            if entry["file"] == candidate.stem)
        rows.append({"seed": seed, "trained": candidate.label, "place": place, "score": entry["score"],
                      **{key: entry[key] for key in ("subject", "prompt", "variety", "copies")},
                      **truth(choice, candidate)})
    for number, row in enumerate(sorted(rows, key=lambda row: -row["truth"]), 1):
        row["true_place"] = number
    return rows


def draw(choice, evaluated, path):
    """The first seed of every prompt, without and with the files."""
    heads = ["without", *(candidate.stem for candidate in choice.candidates)]
    seed = evaluated["rows"][0]["seed"]
    first = [(row["prompt"], names)
             for row, names in zip(evaluated["rows"], evaluated["cells"], strict=True) if row["seed"] == seed]
    pictures = [[opened(choice.folder / "cells" / name) for name in names] for _, names in first]
    contact_sheet(pictures, heads, [prompt for prompt, _ in first]).save(path, quality=90)


def truth(choice, candidate):
    """What the toy world knows of the same pictures."""
    cells = [cell for cell in choice.cells if cell.candidate == candidate]
    pictures = [opened(choice.grid.path(cell)) for cell in cells]
    shares = measures.prompt_fidelity(pictures, [ASKED[cell.row] for cell in cells])
    varied = [measures.variety([picture for cell, picture in zip(cells, pictures, strict=True) if cell.row == row])
              for row in range(len(ASKED))]
    words = (shares["colour"] + shares["background"]) / 2
    return {"true_form": shares["form"], "true_colour": shares["colour"], "true_background": shares["background"],
            "true_variety": sum(varied) / len(varied), "truth": shares["form"] * words}


def reached(rows):
    """How true the file is that is proposed, compared with the truest one."""
    return next(row["truth"] for row in rows if row["place"] == 1) / max(max(row["truth"] for row in rows), 1e-9)


def table(rows):
    heads = ("seed", "trained", "place", "true_place", "score", "truth", "subject", "prompt", "variety", "copies",
             "true_form", "true_colour", "true_background", "true_variety")
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(printed(row[name]) for name in heads) + " |" for row in rows])


def printed(value):
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
