"""Train the example and show what came of it.

Pictures of the same seeds are made before and after; the last line is the path of the sheet that shows them side by
side.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_sdtune.cli import INTERRUPTED
from lib_sdtune.cli.arguments import add_data_dir
from lib_sdtune.cli.console import Bar
from lib_sdtune.cli.settings import read
from lib_sdtune.cli.train import train
from lib_sdtune.errors import RunError, UserError

if TYPE_CHECKING:
    from lib_sdtune.toyworld import Scene
    from lib_sdtune.training.control import Control

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def arguments(parser: ArgumentParser) -> None:
    add_data_dir(parser, "where everything goes")
    parser.add_argument("--example", default="ron", metavar="NAME", help="a folder of examples/ (default: ron)")


def run(args: Namespace) -> int:
    folder = example(args.example)
    data = read(folder / "demo.json") | {"overwrite": True}
    show = json.loads((folder / "show.json").read_text(encoding="utf-8"))
    count = len(list(Path(data["concepts"][0]["images"]).rglob("*.png")))
    print(
        f"The example: {count} pictures of a {show['form']}, a form that the embedded model has never seen.", flush=True
    )
    before = pictures(args.data_dir, show, "", "pictures before the training")
    artefact, control = train(data, args.data_dir)
    if control.state == "stopped":
        print("Interrupted. Run the demo again to start over.")
        return INTERRUPTED
    if artefact is None:
        raise RunError(control.message or "The demo's training ended without a file; its run.log tells why.")
    after = pictures(args.data_dir, show, f"{artefact.tag} ", "pictures after the training")
    for line in figures(show, before, after, control):
        print(line)
    print(artefact.path)
    save(control.folder / "samples", {"before": before, "after": after})
    path = Path(args.data_dir) / "demo.png"
    sheet(show, before, after).save(path)
    print(path)
    return 0


def example(name: str) -> Path:
    folder = EXAMPLES / name
    if not (folder / "demo.json").is_file():
        names = sorted(path.parent.name for path in EXAMPLES.glob("*/demo.json"))
        raise UserError(f"There is no example {name!r}; there are: {', '.join(names) or 'none'}.")
    return folder


def prompts_and_seeds(show: dict[str, Any]) -> list[tuple[str, int]]:
    """(prompt, seed) of every picture: all seeds of each subject prompt, then one of each of the others."""
    return [(p, s) for p in show["prompts"] for s in show["seeds"]] + [(p, show["seeds"][0]) for p in show["others"]]


def pictures(data_dir: str, show: dict[str, Any], tag: str, label: str) -> list[Any]:
    """PIL images in the order of `prompts_and_seeds`, by the embedded model with `tag` in front of each prompt."""
    from lib_sdtune.host.base import SampleRequest
    from lib_sdtune.host.embedded import EmbeddedHost

    host = EmbeddedHost(Path(data_dir))
    side = host.resolution
    requests = [
        SampleRequest(tag + prompt, "", show["steps"], show["cfg_scale"], seed, side, side)
        for prompt, seed in prompts_and_seeds(show)
    ]
    images = []
    with Bar() as bar:
        for image in host.generate(requests):
            images.append(image)
            bar.draw(len(images), len(requests), label)
    return images


def save(folder: Path, pictures: dict[str, list[Any]]) -> None:
    """Every picture as a file of its own, with what made it."""
    from lib_sdtune.formats import infotext

    for label, images in pictures.items():
        for number, image in enumerate(images):
            infotext.save(image, folder / f"{label}-{number:02d}.png")


# what can be measured, because the toy world's ground truth is known

def figures(show: dict[str, Any], before: list[Any], after: list[Any], control: "Control") -> Iterator[str]:
    """The fidelity of the pictures before and after, and the speed, in lines."""
    from lib_sdtune.toyworld import measures

    count = len(show["prompts"]) * len(show["seeds"])
    subject, unrelated = slice(count), slice(count, None)
    asked_for = [scene(prompt) for prompt, _ in prompts_and_seeds(show)]

    def fidelity(images: list[Any], part: slice) -> str:
        values = measures.prompt_fidelity(images[part], asked_for[part])
        return " ".join(f"{name} {value:.2f}" for name, value in values.items() if value == value)

    was, now = (measures.subject_fidelity(images[subject], show["form"]) for images in (before, after))
    yield f"subject fidelity   {was:.2f} -> {now:.2f}   (of {count} pictures, those that plainly show a {show['form']})"
    yield f"prompt fidelity    {fidelity(before, subject)} -> {fidelity(after, subject)}   (the same pictures)"
    if show["others"]:
        yield f"other prompts      {fidelity(before, unrelated)} -> {fidelity(after, unrelated)}   (nothing trained)"
    yield f"seconds per step   {control.snapshot()['seconds_per_step']:.3f}"


def scene(prompt: str) -> "Scene":
    """What a prompt asks for, read off its words; None where it asks for nothing."""
    from lib_sdtune import toyworld

    words = prompt.replace(",", " ").split()

    def first_of(vocabulary: Collection[str]) -> Any:
        return next((word for word in words if word in vocabulary), None)

    return toyworld.Scene(first_of(toyworld.SHAPES), first_of(toyworld.COLOURS), first_of(toyworld.BACKGROUNDS))


# the contact sheet

def sheet(show: dict[str, Any], before: list[Any], after: list[Any]) -> Any:
    """A row per prompt: the pictures before, and those of the same seeds after."""
    from lib_sdtune.pages.contact_sheet import contact_sheet

    seeds = len(show["seeds"])
    starts = range(0, seeds * len(show["prompts"]), seeds)
    pictures = [[*before[start:start + seeds], *after[start:start + seeds]] for start in starts]
    unnamed = [""] * (seeds - 1)
    return contact_sheet(pictures, ["before", *unnamed, "after, same seeds", *unnamed], show["prompts"])
