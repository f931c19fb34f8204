"""Whether an embedding and a hypernetwork teach the embedded model a concept: pictures before and after, same seeds.

    python -m benchmarks.similarity [--seeds 1 2 3] [--methods textual_inversion hypernetwork] [--out FOLDER]

The concept is Ron, a form that the model has never seen, from the ten pictures of the example and their captions. Each
seed is a training of its own with seeds of its own for the pictures. Three measures per picture:

- similarity: mean cosine to the training pictures in an image encoder's features, as the paper measures it (Gal et al.
2022, arXiv 2208.01618, section 5.3, there with CLIP's). The encoder is the untrained model's UNet
  (`evaluation/encoders.py`); each feature counts from its mean and by its spread over the pictures before and the
  training pictures.
- overlap: of the silhouette with the drawn form (`measures.recognise`), 0..1.
- shown: whether the form is plainly there, and is the best of all twelve forms.

A gain's interval is the 95 % of a bootstrap over trainings and their pictures; p is from flipping the signs of the
pictures' gains at random. Colour and background tell whether the prompt is still followed.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from lib_sdtune.cli.demo import scene
from lib_sdtune.config import Config
from lib_sdtune.evaluation.encoders import ModelEncoder
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.host.embedded.host import EmbeddedHost
from lib_sdtune.pages.contact_sheet import contact_sheet
from lib_sdtune.sections.model import Model
from lib_sdtune.toyworld import measures
from lib_sdtune.training.run import run
from lib_sdtune.training.runs import begin

RON = Path(__file__).resolve().parent.parent / "examples" / "ron"
SHOW = json.loads((RON / "show.json").read_text())
MEASURES = ("similarity", "overlap", "shown")
RESAMPLED = 10_000
SETTINGS = {
    "textual_inversion": {"textual_inversion": {"init_text": "toy", "num_vectors_per_token": 60, "lr": 0.5}},
    "hypernetwork": {"hypernetwork": {"layer_structure": [1, 4, 1], "activation": "swish",
                                      "weight_init": "XavierNormal", "lr": 1e-2},
                     "train": {"lr_warmup_steps": 50}},
}


def config(method, seed, steps, host):
    settings = SETTINGS[method]
    train = ({"seed": seed, "max_train_steps": steps, "batch_size": 10, "lr_scheduler": "cosine"}
             | settings.get("train", {}))
    return Config.from_dict({"name": "ron", "method": method, "concepts": [{"images": str(RON / "ron")}],
                             "train": train,
                             "loss": {"debiased_estimation": True}, method: settings[method]}, host.defaults(Model()))


def draw(host, tag, seed):
    """Pictures of the show's prompts; seeds that no other training uses."""
    prompts = [(prompt, value) for prompt in SHOW["prompts"] for value in SHOW["seeds"]]
    side = host.resolution
    requests = [SampleRequest(f"{prompt} {tag}".strip(), "", SHOW["steps"], SHOW["cfg_scale"], 1000 * seed + value,
                              side, side)
                for prompt, value in prompts]
    return list(host.generate(requests)), [scene(prompt) for prompt, _ in prompts]


def similarities(encoder, before, after):
    """(of each picture before, after) to the training pictures."""
    trained = [Image.open(path).convert("RGB") for path in sorted((RON / "ron").glob("*.png"))]
    features = [encoder.images(pictures) for pictures in (before, after, trained)]
    usual = torch.cat([features[0], features[2]])
    first, second, trained = (F.normalize((value - usual.mean(0)) / (usual.std(0) + 1e-6), dim=1) for value in features)
    return (first @ trained.T).mean(1).tolist(), (second @ trained.T).mean(1).tolist()


def taught(method, seed, steps):
    """One training: {measure: [values before, values after]}, how the prompts are followed, and the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        host = EmbeddedHost(folder)
        before, targets = draw(host, "", seed)
        encoder = ModelEncoder(host.model(Model()))
        encoder.images(before)
        settings = config(method, seed, steps, host)
        artefact = run(settings, host, begin(settings, host))
        after, _ = draw(host, artefact.tag if artefact.tag.startswith("<") else "", seed)
        values = {"similarity": similarities(encoder, before, after)}
    for name, look in (("overlap", lambda picture: measures.recognise(picture, (SHOW["form"],)).overlap),
                       ("shown", lambda picture: float(measures.recognise(picture).form == SHOW["form"]))):
        values[name] = [look(picture) for picture in before], [look(picture) for picture in after]
    return values, measures.prompt_fidelity(after, targets), before, after


# statistics

def interval(gains):
    """The middle 95 % of mean gains when trainings, and in each its pictures, are drawn again.

    gains: (trainings, pictures).
    """
    rng = np.random.default_rng(0)
    runs, pictures = gains.shape
    means = []
    for _ in range(RESAMPLED):
        rows = rng.integers(runs, size=runs)
        means.append(np.mean([gains[row, rng.integers(pictures, size=pictures)].mean() for row in rows]))
    return np.quantile(means, [0.025, 0.975])


def significance(gains):
    """How often gains with random signs have a mean as large as that: p of "nothing was gained", one-sided."""
    signs = np.random.default_rng(0).choice([-1, 1], size=(RESAMPLED, gains.size))
    return (1 + int(((signs * gains.ravel()).mean(1) >= gains.mean() - 1e-12).sum())) / (RESAMPLED + 1)


def row(method, name, before, after):
    """A line of the table; before and after are (trainings, pictures)."""
    gains = after - before
    low, high = interval(gains)
    p = significance(gains)
    each = ", ".join(f"{gain:+.2f}" for gain in gains.mean(1))
    return (f"| {method} | {name} | {before.mean():.2f} | {after.mean():.2f} | {gains.mean():+.2f} ({low:+.2f} to "
            f"{high:+.2f}) | "
            f"{each} | {f'{p:.4f}' if p > 1 / RESAMPLED else '< 0.0001'} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--methods", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--out", type=Path, help="keep the table and a sheet of pictures there: two rows a training")
    arguments = parser.parse_args()
    lines = ["| method | measure | before | after | gain (95 %) | gain of each training | p "
             "|\n|---|---|---|---|---|---|---|"]
    for method in arguments.methods:
        values_by_measure, pictures = {name: [[], []] for name in MEASURES}, []
        for seed in arguments.seeds:
            values, fidelity, before, after = taught(method, seed, arguments.steps)
            pictures += [before, after]
            for name in MEASURES:
                for place in (0, 1):
                    values_by_measure[name][place].append(values[name][place])
            print(method, seed, {name: [round(float(np.mean(value)), 3) for value in values[name]]
                                 for name in MEASURES},
                  {name: round(value, 2) for name, value in fidelity.items() if value == value}, flush=True)
            if arguments.out:
                arguments.out.mkdir(parents=True, exist_ok=True)
                contact_sheet(pictures).save(arguments.out / f"{method}.png")
        lines += [row(method, name, *map(np.array, values_by_measure[name])) for name in MEASURES]
    print("\n".join(lines))
    if arguments.out:
        (arguments.out / "similarity.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
