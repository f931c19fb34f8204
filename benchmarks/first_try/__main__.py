"""Does a newcomer's first training succeed: nothing given but name, folder and trigger words?

    python -m benchmarks.first_try [--forms choosing|fine|reporting] [--settings defaults|tutorial|sd-scripts]
                                   [--set KEY=VALUE ...] [--only FORM ...] [--every STEPS] [--keep FOLDER]
                                   [--out FILE.json] [--sheet FILE.png]

Each form (`forms.py`) has ten pictures; every other form's have captions, the others' none. After the training the
file is asked for 32 pictures with colour and ground, and the class for 96 without the file's subject in the words, all
with the steps and the guidance that the model recommends:

- subject: share of the 32 that plainly show the form and no other of all forms
- prompt: mean share of the colours and grounds that are those asked for
- alone: share of 32 more pictures that show it where the trigger words alone are asked for
- leak: share of the class's pictures that show the form
- kinds: how many kinds of the class there effectively are, as a share of those before the training

A training succeeds with subject >= .9, prompt >= .9 and kinds >= .8. Seconds are the processor's, of the training
alone, on one thread, so that other programs do not count; `good_after` are those until the first saved file that
succeeds (with --every). With --out a measurement that was broken off goes on. With --keep the trained files stay in
FOLDER, and those that are there already are judged again and not trained: for another decoder, or another judge.
`model` is the share of drawings of the form, in the colours and on the grounds that are asked for, that are recognised
after a way through the VAE: what can be reached.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch

from benchmarks.first_try.baselines import BASELINES
from benchmarks.first_try.forms import CHOOSING, FINE, REPORTING
from benchmarks.first_try.judging import Judge
from benchmarks.first_try.newcomer import trained
from lib_sdtune import toyworld
from lib_sdtune.formats.plain_data import overlaid
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.pages.contact_sheet import contact_sheet

FORMS = {"choosing": CHOOSING, "fine": FINE, "reporting": REPORTING}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forms", choices=list(FORMS), default="choosing")
    parser.add_argument("--settings", choices=list(BASELINES), default="defaults")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--seed", type=int, default=0, help="of the pictures that are drawn for the training")
    parser.add_argument("--every", type=int, default=0, help="steps from one saved file to the next")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="one for each choice of settings and seed")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    toyworld.FORMS.update(CHOOSING | FINE | REPORTING)
    rows, pictures = earlier(arguments.out), []
    for number, form in enumerate(FORMS[arguments.forms]):
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
    overlay = overlaid({"save": {"every_n_steps": arguments.every}}, BASELINES[arguments.settings])
    with tempfile.TemporaryDirectory() as temporary:
        host = EmbeddedHost((arguments.keep or Path(temporary)) / form)
        outcome = trained(host, form, captioned, overlay, arguments.set, arguments.seed)
        judge = Judge(host)
        measured, subject, class_pictures = judge(outcome.name, form)
        good_after = next((round(seconds, 1) for name, seconds in outcome.files.items()
                           if (measured if name == outcome.name else judge(name, form)[0])["success"]), None)
        row = {"form": form, "captions": captioned, "model": judge.shown_by_model(form), "steps": outcome.steps,
               "seconds": outcome.seconds, **measured, "good_after": good_after, "recipe": outcome.recipe}
    return row, subject, class_pictures


def summary(rows):
    """The table's means, and how many succeed."""
    means = {name: sum(row[name] for row in rows) / len(rows)
             for name in ("subject", "prompt", "alone", "leak", "kinds", "steps", "seconds")}
    return (f"{sum(row['success'] for row in rows)} of {len(rows)} succeed; "
            + ", ".join(f"{name} {value:.2f}" for name, value in means.items()))


if __name__ == "__main__":
    main()
