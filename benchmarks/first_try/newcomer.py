"""What a newcomer does: ten pictures in a folder, a name and trigger words, and a training."""

import json
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.first_try.judging import WORD
from lib_sdtune import toyworld
from lib_sdtune.cli.settings import assign
from lib_sdtune.config import Config
from lib_sdtune.formats.plain_data import overlaid
from lib_sdtune.sections.model import Model
from lib_sdtune.training.run import run
from lib_sdtune.training.runs import begin

PICTURES = 10


@dataclass
class Trained:
    """A training's outcome. seconds: of the processor; files: the seconds until each saved file was there, by name."""

    name: str
    steps: int
    seconds: float
    files: dict
    recipe: str


def trained(host, form, captioned, overlay, assignments=(), seed=0):
    """The `Trained` of a form. One that is kept in the host's folder is returned as it is, not trained again."""
    record = host.data_dir / "trained.json"
    if record.exists():
        return Trained(**json.loads(record.read_text(encoding="utf-8")))
    folder = host.data_dir / "pictures"
    training_pictures(folder, form, captioned, seed)
    config = settings(folder, overlay, assignments, host)
    saved_after = SavedAfter()
    control = begin(config, host, on_change=saved_after)
    artefact = run(config, host, control)
    outcome = Trained(artefact.path.stem, control.snapshot()["step"], round(saved_after.seconds(), 1),
                      saved_after.names, control.facts["recipe"])
    record.write_text(json.dumps(asdict(outcome), indent=1), encoding="utf-8")
    return outcome


class SavedAfter:
    """Called when a run has changed: the processor's seconds until each of its files was there. names: of the files."""

    def __init__(self):
        self.started, self.names = time.process_time(), {}

    def seconds(self):
        return time.process_time() - self.started

    def __call__(self, control):
        for path in control.artefacts:
            self.names.setdefault(Path(path).stem, self.seconds())


def training_pictures(folder, form, captioned, seed):
    """Draw them into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"{form} {seed}")
    for number in range(PICTURES):
        scene = toyworld.random_scene(rng, form)
        toyworld.draw(scene).save(folder / f"{number:02d}.png")
        if captioned:
            text = toyworld.full_caption(scene, f"{WORD} {toyworld.CLASS}")
            (folder / f"{number:02d}.txt").write_text(text, encoding="utf-8")


def settings(folder, overlay, assignments, host):
    """The run's Config: what a newcomer gives, then a baseline's settings, then KEY=VALUE assignments."""
    data = {"name": "first", "concepts": [{"images": str(folder), "prompt": f"{WORD} {toyworld.CLASS}"}]}
    concept = data["concepts"][0] | overlay.get("concepts", [{}])[0]
    data = overlaid(data, overlay) | {"concepts": [concept]}
    for assignment in assignments:
        assign(data, assignment)
    return Config.from_dict(data, host.defaults(Model()))
