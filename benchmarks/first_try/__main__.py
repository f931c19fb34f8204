"""Does a newcomer's first training succeed: nothing given but name, folder and trigger words?

    python -m benchmarks.first_try [--forms choosing|reporting] [--settings defaults|tutorial|sd-scripts]
                                   [--set KEY=VALUE ...] [--only FORM ...] [--every STEPS] [--out FILE.json]
                                   [--sheet FILE.png]

Each form (`forms.py`) has ten pictures; every other form's have captions, the others' none. After the training the
file is asked for 32 pictures with colour and ground, and the class for 32 without the file's subject in the words, all
with the steps and the guidance that the model recommends:

- subject: share of the 32 that plainly show the form and no other of all forms
- prompt: mean share of the colours and grounds that are those asked for
- alone: share of 32 more pictures that show it where the trigger words alone are asked for
- leak: share of the class's pictures that show the form
- kinds: how many kinds of the class there effectively are, as a share of those before the training

A training succeeds with subject >= .9, prompt >= .9 and kinds >= .8. Seconds are the processor's, of the training
alone, on one thread, so that other programs do not count; `good_after` are those until the first saved file that
succeeds (with --every). With --out a measurement that was broken off goes on.
`model` is the share of drawings of the form, in the colours and on the grounds that are asked for, that are recognised
after a way through the VAE: what can be reached.
"""

import argparse
import json
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from einops import rearrange

from benchmarks.first_try.forms import CHOOSING, REPORTING
from lib_sdtune import toyworld
from lib_sdtune.cli.settings import assign
from lib_sdtune.config import Config, Model, overlaid
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.host.embedded import EmbeddedHost, drawing
from lib_sdtune.pages.contact_sheet import contact_sheet
from lib_sdtune.toyworld import measures
from lib_sdtune.training.run import run
from lib_sdtune.training.runs import begin

WORD = "zwx"
PICTURES, ASKED = 10, 32
SCALE = 20  # the embedded model's rates against those of real ones
LION = SCALE / 10  # Lion takes a third to a tenth of AdamW's rates (Chen et al. 2023); at 20 it drew nothing
PLAIN = {"dataset": {"describe": []}, "loss": {"prior_preservation": "pictures", "debiased_estimation": False}}
RIVALS = {
    "defaults": {},
    # the tutorial that many begin with: ten repeats, ten epochs
    "tutorial": PLAIN | {"concepts": [{"repeats": 10, "class_prompt": ""}],
                 "lora": {"dim": 32, "alpha": 32, "conv_dim": 0, "unet_lr": 1e-4 * LION,
                          "text_encoder_lr": 1e-5 * LION},
                 "train": {"max_train_epochs": 10, "max_train_steps": 0, "batch_size": 1, "optimizer": "Lion",
                           "lr_scheduler": "cosine_with_restarts"}},
    # what its own program does where nothing is said
    "sd-scripts": PLAIN | {"concepts": [{"class_prompt": ""}], "lora": {"dim": 4, "alpha": 1, "conv_dim": 0,
                   "unet_lr": 2e-6 * SCALE, "text_encoder_lr": 2e-6 * SCALE},
                   "train": {"max_train_steps": 1600, "batch_size": 1, "lr_scheduler": "constant"}},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forms", choices=("choosing", "reporting"), default="choosing")
    parser.add_argument("--settings", choices=list(RIVALS), default="defaults")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--seed", type=int, default=0, help="of the pictures that are drawn for the training")
    parser.add_argument("--every", type=int, default=0, help="steps from one saved file to the next")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    toyworld.FORMS.update(CHOOSING | REPORTING)
    forms = CHOOSING if arguments.forms == "choosing" else REPORTING
    rows, pictures = earlier(arguments.out), []
    for number, form in enumerate(forms):
        if arguments.only and form not in arguments.only or form in [row["form"] for row in rows]:
            continue
        row, subject, class_pictures = first_try(form, number % 2 == 0, arguments)
        rows.append(row)
        pictures.append(subject[:8] + class_pictures[:4])
        print(json.dumps(row), flush=True)
        if arguments.out:
            arguments.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        if arguments.sheet:
            contact_sheet(pictures, rows=[row["form"] for row in rows[-len(pictures):]]).save(arguments.sheet)
    print(summary(rows))


def earlier(path):
    """The rows of a measurement that was broken off, to go on from."""
    return json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else []


def first_try(form, captioned, arguments):
    """(the row of one form, pictures of the subject, pictures of the class)."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / form
        host = EmbeddedHost(Path(place) / "data")
        training_pictures(folder, form, captioned, arguments.seed)
        before = draw(host, [f"a photo of a {toyworld.CLASS}"] * ASKED)
        config = settings(folder, arguments, host)
        saved_after = SavedAfter()
        control = begin(config, host, on_change=saved_after)
        artefact = run(config, host, control)
        seconds = saved_after.seconds()
        steps = control.snapshot()["step"]
        judged, subject, class_pictures = judge(host, artefact.path.stem, form, before)
        row = {"form": form, "captions": captioned, "model": shown_by_model(host, form), "steps": steps,
               "seconds": round(seconds, 1), **judged, "good_after": None, "recipe": control.facts["recipe"]}
        row["good_after"] = saved_after.first(lambda name: (
            row if name == artefact.path.stem else judge(host, name, form, before)[0])["success"])
    return row, subject, class_pictures


class SavedAfter:
    """Called when a run has changed: the processor's seconds until each of its files was there. names: of the files."""

    def __init__(self):
        self.started, self.names = time.process_time(), {}

    def seconds(self):
        return time.process_time() - self.started

    def __call__(self, control):
        for path in control.artefacts:
            self.names.setdefault(Path(path).stem, self.seconds())

    def first(self, succeeds):
        """The seconds until the first file for which `succeeds(name)` is true, None where there is none."""
        return next((round(seconds, 1) for name, seconds in self.names.items() if succeeds(name)), None)


def judge(host, name, form, before):
    """(measures of the LoRA of that name, pictures of the subject, pictures of the class). before: the class's own."""
    names, scenes, tag = tuple(toyworld.FORMS), asked_for(form), f"<lora:{name}:1>"
    subject = draw(host, [f"{tag} a photo of a {scene.colour} {WORD} {toyworld.CLASS} on {scene.background}"
                          for scene in scenes])
    bare = draw(host, [f"{tag} {WORD} {toyworld.CLASS}", f"{tag} a photo of a {WORD} {toyworld.CLASS}"] * (ASKED // 2))
    class_pictures = draw(host, [f"{tag} a photo of a {toyworld.CLASS}"] * ASKED)
    recognised = [measures.recognise(picture, names) for picture in subject]
    prompt = [(result.colour == scene.colour) + (result.background == scene.background)
              for result, scene in zip(recognised, scenes, strict=True)]
    row = {"subject": share(result.form == form for result in recognised), "prompt": sum(prompt) / 2 / ASKED,
           "alone": share(measures.recognise(picture, names).form == form for picture in bare),
           "leak": share(measures.recognise(picture, names).form == form for picture in class_pictures),
           "kinds": round(measures.kinds(class_pictures) / measures.kinds(before), 2)}
    row["success"] = row["subject"] >= 0.9 and row["prompt"] >= 0.9 and row["kinds"] >= 0.8
    return row, subject, class_pictures


def training_pictures(folder, form, captioned, seed):
    """Draw them into `folder`."""
    folder.mkdir()
    rng = random.Random(f"{form} {seed}")
    for number in range(PICTURES):
        scene = toyworld.random_scene(rng, form)
        toyworld.draw(scene).save(folder / f"{number:02d}.png")
        if captioned:
            text = toyworld.full_caption(scene, f"{WORD} {toyworld.CLASS}")
            (folder / f"{number:02d}.txt").write_text(text, encoding="utf-8")


def shown_by_model(host, form):
    """Share of what is asked for that is recognised, drawn as it should be, after the VAE's way there and back."""
    rng, names = random.Random(form), tuple(toyworld.FORMS)
    scenes = [replace(toyworld.random_scene(rng, form), colour=scene.colour, background=scene.background)
              for scene in asked_for(form)]
    images = through_vae(host, [toyworld.draw(scene) for scene in scenes])
    return share(measures.recognise(image, names).form == form for image in images)


def through_vae(host, images):
    """The images as the model's own way there and back leaves them."""
    model = host.model(Model())
    values = np.stack([np.asarray(image, np.float32) for image in images])
    pixels = rearrange(torch.from_numpy(values), "b h w c -> b c h w") / 127.5 - 1
    with torch.no_grad():
        return drawing.decode(model, model.family.encode_images(model, pixels)[0])


def settings(folder, arguments, host):
    """The run's Config: what a newcomer gives, then the rival's settings, then --set."""
    data = {"name": "first", "concepts": [{"images": str(folder), "prompt": f"{WORD} {toyworld.CLASS}"}]}
    rival = RIVALS[arguments.settings]
    concept = data["concepts"][0] | rival.get("concepts", [{}])[0]
    data = overlaid({"save": {"every_n_steps": arguments.every}}, overlaid(data, rival)) | {"concepts": [concept]}
    for assignment in arguments.set:
        assign(data, assignment)
    return Config.from_dict(data, host.defaults(Model()))


def asked_for(form):
    """32 scenes: colours and grounds in turns that never meet the same way twice."""
    colours, grounds = list(toyworld.COLOURS), list(toyworld.BACKGROUNDS)
    return [
        toyworld.Scene(form, colours[number % 8], grounds[(number + number // 8 * 3) % 8]) for number in range(ASKED)
    ]


def draw(host, prompts):
    side, sample = host.resolution, host.defaults(Model())["sample"]
    requests = [SampleRequest(prompt, "", sample["steps"], sample["cfg_scale"], 1000 + number, side, side)
                for number, prompt in enumerate(prompts)]
    return list(host.generate(requests))


def share(values):
    values = list(values)
    return round(sum(values) / len(values), 3)


def summary(rows):
    """The table's means, and how many succeed."""
    means = {name: sum(row[name] for row in rows) / len(rows)
             for name in ("subject", "prompt", "alone", "leak", "kinds", "steps", "seconds")}
    return (f"{sum(row['success'] for row in rows)} of {len(rows)} succeed; "
            + ", ".join(f"{name} {value:.2f}" for name, value in means.items()))


if __name__ == "__main__":
    main()
