"""What a run leaves behind: samples, intermediate files, and the final file with its card and preview."""

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lib_sdtune.artefacts import artefact_files, card, metadata
from lib_sdtune.config import Config
from lib_sdtune.errors import NothingLearned, UserError
from lib_sdtune.formats import infotext, structure
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.host.base import Host, SampleRequest
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.methods.base import Artefact, Method
from lib_sdtune.training import room_to_draw
from lib_sdtune.training.disk_space import refuse_too_little_disk
from lib_sdtune.training.sample_requests import sample_requests
from lib_sdtune.training.sample_times import SampleTimes, due
from lib_sdtune.training.state import LARGE, states_to_keep
from lib_sdtune.training.step_result import Step
from lib_sdtune.training.training_data import TrainingData

log = logging.getLogger("sdtune")


def final_path(config: Config, kind_folder: Path, suffix: str) -> Path:
    return kind_folder / f"{config.name}{suffix}"


class Results:
    """Names, writes and prunes a run's samples, intermediate files and final file.

    training_data: read for `steps_per_epoch`, `dataset` and the metadata.
    """

    def __init__(self, config: Config, model: LoadedModel, method: Method, training_data: TrainingData, folder: Path
                ) -> None:
        self.config = config
        self.model = model
        self.method = method
        self.training_data = training_data
        self.folder = folder
        self.saved = artefacts_of(folder)

    # room

    def refuse_too_little_room(self, steps: int, optimizer_bytes: int) -> None:
        """UserError when the disk cannot take what `steps` more steps will save."""
        room, state_bytes = self.method.disk_bytes(), self.bytes_of_state(optimizer_bytes)
        files = self.model.folder(self.method.kind) if self.model.folder else self.folder
        saves = self.saves(steps)
        kept = min(saves, self.config.save.keep_last or saves)
        refuse_too_little_disk([(self.folder.parent, state_bytes * self.states(steps, state_bytes) + room["once"]),
                                (files, room["file"] * (kept + 1))])

    def has_room(self, steps: int, optimizer_bytes: int) -> bool:
        """Whether the disk takes what is refused otherwise; no where it cannot be asked."""
        try:
            self.refuse_too_little_room(steps, optimizer_bytes)
        except (UserError, OSError):
            return False
        return True

    def bytes_of_state(self, optimizer_bytes: int) -> int:
        return self.method.disk_bytes()["state"] + optimizer_bytes

    def states(self, steps: int, size: int) -> int:
        """How many resume points of `size` bytes `steps` more steps have on the disk at once, while one is written.

        One is written at the end, with every intermediate file, and where they are small before samples.
        """
        every, sample = self.config.save.state_every_n_steps, self.config.sample
        written = 1 + self.saves(steps) + (steps // every if every else 0)
        if size < LARGE and (sample.every_n_steps or sample.every_n_epochs):
            written += steps
        return min(written, states_to_keep(size) + 1)

    def refuse_own_source(self) -> None:
        """UserError when the file to be written is the very checkpoint that is being trained."""
        if not self.model.path or not self.model.folder:
            return
        path = final_path(self.config, self.model.folder(self.method.kind), self.method.suffix)
        if path.exists() and self.model.path.exists() and path.samefile(self.model.path):
            raise UserError(
                f"{path} is the checkpoint that would be trained, and it is never overwritten; choose another name."
            )

    def saves(self, steps: int) -> int:
        """How many times `steps` more steps save intermediate files."""
        save = self.config.save
        count = steps // save.every_n_steps if save.every_n_steps else 0
        count += (
            steps // (save.every_n_epochs * self.training_data.steps_per_epoch) if steps and save.every_n_epochs else 0
        )
        return count

    # samples

    def requests(self) -> list[SampleRequest]:
        return sample_requests(self.config, self.training_data.dataset)

    def sample(self, host: Host, step: int) -> list[Path]:
        """Make the config's sample pictures; samples/step00000100-00.png and so on, with infotext."""
        files = []
        (self.folder / "samples").mkdir(exist_ok=True)
        for number, image in enumerate(room_to_draw.samples(host, self.requests(), self.method.make_room)):
            files.append(self.sample_path(step, number))
            infotext.save(image, files[-1])
        return files

    def sample_path(self, step: int, number: int) -> Path:
        return self.folder / "samples" / f"step{step:08d}-{number:02d}.png"

    def missing(self, step: Step, times: SampleTimes) -> bool:
        """Whether something that was due at this `Step` is not on the disk; samples may be due by their `times`."""
        paths = []
        if times.is_planned(step):
            paths += [self.sample_path(step.number, number) for number in range(len(self.requests()))]
        if due(self.config.save, step) and not step.last and self.model.folder:
            stems = self.stems(step.number, step.epoch if step.epoch_ends else None)
            paths += [self.model.folder(self.method.kind) / f"{stem}{self.method.suffix}" for stem in stems]
        return any(not path.exists() for path in paths)

    # files

    def metadata(self, stem: str, step: int) -> dict[str, str]:
        return metadata.describe(self.config, self.model, self.method, self.training_data, stem, step)

    def save(self, folder: Path, step: int, epoch: int | None) -> list[Path]:
        """The files that are due at `step`; `epoch` is the one that ends with it, or None."""
        try:
            return [self.write(folder, stem, step) for stem in self.stems(step, epoch)]
        except NothingLearned as error:  # yet: while the rate warms up, for example
            log.warning("step %d: nothing was saved. %s", step, error)
            return []

    def stems(self, step: int, epoch: int | None) -> list[str]:
        """NAME-000002 for an epoch, NAME-step00000500 for a step or a wish; both where both are due, as sd-scripts has
        it.
        """
        save, name = self.config.save, self.config.name
        ends = bool(epoch and save.every_n_epochs and epoch % save.every_n_epochs == 0)
        by_step = bool(save.every_n_steps and step % save.every_n_steps == 0)
        return ([f"{name}-{epoch:06d}"] if ends else []) + ([f"{name}-step{step:08d}"] if by_step or not ends else [])

    def write(self, folder: Path, stem: str, step: int) -> Path:
        path = folder / f"{stem}{self.method.suffix}"
        self.method.export(path, self.metadata(stem, step))
        self.saved = [*(earlier for earlier in self.saved if earlier.name != path.name), path]
        self.forget_old()
        log.info("step %d: saved %s", step, path.name)
        return path

    def forget_old(self) -> None:
        """Keep the last of the files that this run has saved on its way; an earlier run's of the same name are not
        touched.
        """
        keep = self.config.save.keep_last
        if keep:
            existing = [path for path in self.saved if path.stem != self.config.name and path.exists()]
            for path in sorted(existing, key=lambda path: path.stat().st_mtime)[:-keep]:
                with suppress(OSError):  # on Windows the host may have it open; it goes with the next ones
                    artefact_files.remove(path, KINDS[self.method.kind])

    def export(self, host: Host, step: int, written: Callable[[Path], None] = lambda path: None) -> Artefact:
        """The `Artefact`: final file, card NAME.json and, if there is a sample, NAME.preview.png.

        `written(path)` is called when the file itself is there.
        """
        path = final_path(self.config, host.folder(self.method.kind), self.method.suffix)
        facts = self.metadata(self.config.name, step)
        self.method.export(path, facts)
        written(path)
        artefact = Artefact(
            path, self.method.kind, self.method.tag(self.config.name), self.method.activation_text(), facts
        )
        self.write_card(artefact, step)
        log.info("step %d: wrote %s", step, path.name)
        artefact.extra_artefacts = self.method.extra_artefacts(artefact)
        for extra in artefact.extra_artefacts:
            self.write_card(extra, step)
        return artefact

    def write_card(self, artefact: Artefact, step: int) -> None:
        card.write(artefact.path, artefact.activation_text, self.config, self.model.family, step,
                   self.folder / "samples")


def artefacts_of(folder: Path) -> list[Path]:
    """Paths of the files that the run in `folder` says it has saved."""
    status = structure.read(folder / "status.json", {"artefacts": [str]}) or {"artefacts": []}
    return [Path(path) for path in status["artefacts"]]
