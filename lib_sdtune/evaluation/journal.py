"""What publishing moves and makes, written down before each step, so that all of it can be taken back.

Paths are text that stays true when the host's folders are moved: "run/epochs/ron.json", "lora/ron.safetensors". Earlier
versions wrote absolute ones.
"""

import hashlib
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_sdtune.errors import RunError, UserError, system_reason
from lib_sdtune.formats.files import read_json, replace_when_free, sync, write_json
from lib_sdtune.formats.kinds import KINDS

if TYPE_CHECKING:
    from lib_sdtune.host.base import Host
    from lib_sdtune.training.runs import RunFolder

FILE, SWEPT = "published.json", "epochs"
REMOVED = ".taken-back"  # ending of a file that goes as soon as everything else is back
LARGE, SAMPLE = 2**28, 2**24  # bytes


@dataclass(frozen=True)
class RunPaths:
    """Where a run's files are. kind: the host's folder for them. old_run: the run folder in paths of earlier
    versions.
    """

    host: "Host"
    run: "RunFolder"
    kind: str
    old_run: Path | None = None

    @property
    def swept(self) -> Path:
        return self.run.path / SWEPT

    def text(self, path: Path) -> str:
        """A path as it is written down."""
        if path.is_relative_to(self.run.path):
            return "run/" + path.relative_to(self.run.path).as_posix()
        for root in self.host.roots(self.kind):
            if path.is_relative_to(root):
                return f"{self.kind}/{path.relative_to(root).as_posix()}"
        return str(path)

    def path(self, text: str) -> Path:
        """The path that was written down, where it is now. ValueError for a text that leads elsewhere."""
        head, _, name = text.partition("/")
        if ".." in Path(text).parts:
            raise ValueError(text)
        if head == "run":
            return self.run.path / name
        if head == self.kind:
            roots = self.host.roots(self.kind)
            return next((root / name for root in roots if (root / name).exists()), roots[0] / name)
        return self.moved(Path(text))

    def moved(self, path: Path) -> Path:
        """The place of an absolute path of an earlier version, wherever the host's folders are now."""
        if self.old_run in (None, self.run.path):
            return path
        with suppress(ValueError):
            return self.run.path / path.relative_to(self.old_run)
        with suppress(ValueError):  # data/sdtune/runs/NAME
            return self.run.path.parents[2] / path.relative_to(self.old_run.parents[2])
        return self.host.folder(self.kind) / path.name


class Journal:
    """steps: {"moved", "to", "fingerprint"} of a file that went into the run folder, {"made", "fingerprint"} of one
    that was written, {"published": what} once everything is.
    """

    def __init__(self, paths: RunPaths, steps: list[dict] | None = None) -> None:
        self.paths, self.steps = paths, steps or []

    @classmethod
    def read(cls, paths: RunPaths) -> "Journal":
        """UserError where it is damaged."""
        path = paths.run.path / FILE
        try:
            steps = read_json(path)
            if not isinstance(steps, list) or not steps:
                raise ValueError
            old_targets = [Path(step["to"]) for step in steps if "to" in step and Path(step["to"]).is_absolute()]
            paths = replace(paths, old_run=old_targets[0].parents[1] if old_targets else None)
            for step in steps:
                if not {"moved", "to"} <= set(step) and "made" not in step and "published" not in step:
                    raise ValueError
                for key in {"moved", "to", "made"} & set(step):
                    paths.path(step[key])
        except (OSError, ValueError, TypeError, AttributeError):
            raise UserError(f"{path} is damaged, so what was published cannot be taken back. The other files of the "
                            f"run are in {paths.swept}; move back by hand what you need.") from None
        return cls(paths, steps)

    def write(self) -> None:
        write_json(self.paths.run.path / FILE, self.steps)

    def note(self, **step: Any) -> None:
        self.steps.append(step)
        self.write()

    @property
    def complete(self) -> bool:
        return any("published" in step for step in self.steps)

    # publishing

    def move_away(self, path: Path, name: str = "") -> Path:
        """Move a file into the run folder; its path there."""
        target = self.paths.swept / (name or path.name)
        self.note(moved=self.paths.text(path), to=self.paths.text(target), fingerprint=fingerprint(path))
        target.parent.mkdir(exist_ok=True)
        rename(path, target)
        return target

    def creates(self, path: Path) -> None:
        """`path` is about to be written."""
        self.note(made=self.paths.text(path))

    def finish(self, publication: dict) -> None:
        """Everything is written; from now on what differs from it is the user's."""
        for step in self.steps:
            if "made" in step and (path := self.paths.path(step["made"])).exists():
                step["fingerprint"] = fingerprint(path)
        self.note(published=publication)

    # taking back

    def undo(self) -> list[Path]:
        """Put everything back: all of it, or nothing. The files that the user made since, where they are now.

        UserError for a file that is missing, before anything is changed; RunError where the disk refuses.
        """
        plan = Plan()
        created = {self.paths.path(step["made"]): step.get("fingerprint") for step in self.steps if "made" in step}
        back = {self.paths.path(step["moved"]): step for step in self.steps if "moved" in step}
        self.refuse_missing(back)
        for path, written in created.items():
            if not path.exists() or self.is_back(path, back):
                continue
            if self.is_users(path, written):
                plan.keep(path, path in back)
            else:
                plan.remove(path)
        for path, step in back.items():
            source = self.paths.path(step["to"])
            if not source.exists() or path in plan.in_place:
                continue
            if path.exists() and path not in created:
                if not self.complete or fingerprint(path) == fingerprint(source):
                    plan.remove(source)  # it was cut off between two disks, and the other one is whole
                    continue
                plan.keep(path, True)
            if path not in plan.in_place:
                plan.moves.append((source, path))
        for path in plan.in_place:
            if path in back and (source := self.paths.path(back[path]["to"])).exists():
                plan.moves.append((source, free(path.with_name(path.name + ".bak"))))
        plan.carry_out()
        self.clear([*created, *back])
        return plan.left

    def is_back(self, path: Path, back: dict[Path, dict]) -> bool:
        """Whether an undo that was cut off has put the file back that was here before."""
        return path in back and not self.paths.path(back[path]["to"]).exists()

    def is_users(self, path: Path, written: str | None) -> bool:
        """Whether a file is no longer the one that publishing wrote; `written` is that one's fingerprint."""
        if not self.complete:
            return False
        if written is None:  # an earlier version did not write it down: what is newer than the journal came after it
            return path.stat().st_mtime > (self.paths.run.path / FILE).stat().st_mtime + 2
        return fingerprint(path) != written

    def refuse_missing(self, back: dict[Path, dict]) -> None:
        missing = [self.paths.path(step["to"]) for path, step in back.items()
                   if not self.paths.path(step["to"]).exists() and not self.came_back(path, step)]
        if missing and self.complete:
            names = ", ".join(path.name for path in missing)
            are, pronoun = ("is", "it") if len(missing) == 1 else ("are", "them")
            raise UserError(f"{names} {are} no longer in {self.paths.swept}, so nothing was taken back. "
                            f"Put {pronoun} there, and take it back again.")

    def came_back(self, path: Path, step: dict) -> bool:
        """Whether the file that was moved away is where it came from: moved back before, or never moved."""
        if not path.exists():
            return False
        if step.get("fingerprint"):
            return fingerprint(path) == step["fingerprint"]
        return step["moved"] not in {other.get("made") for other in self.steps}

    def clear(self, paths: Iterable[Path]) -> None:
        """Nothing is published any more."""
        for path in paths:
            path.with_name(path.name + REMOVED).unlink(missing_ok=True)
        (self.paths.run.path / FILE).unlink(missing_ok=True)
        with suppress(OSError):  # somebody's own files in it stay
            for path in self.paths.swept.glob("*" + REMOVED):
                path.unlink()
            self.paths.swept.rmdir()


@dataclass
class Plan:
    """Renames that belong together. in_place: users' files that stay where they are. left: all of them, where they
    will be.
    """

    moves: list[tuple[Path, Path]] = field(default_factory=list)
    in_place: list[Path] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)

    def remove(self, path: Path) -> None:
        self.moves.append((path, path.with_name(path.name + REMOVED)))

    def keep(self, path: Path, is_needed: bool) -> None:
        """A user's file; is_needed: another one has to come back to its place, which a model file makes free."""
        is_model = any(path.suffix in kind.endings for kind in KINDS.values()) and path.suffix != ".json"
        if is_needed and is_model:
            target = free(path.with_stem(path.stem + "-kept"))
            self.moves.append((path, target))
            self.left.append(target)
        else:
            self.in_place.append(path)
            self.left.append(path)

    def carry_out(self) -> None:
        """All of them, or none. RunError."""
        done: list[tuple[Path, Path]] = []
        try:
            for source, target in self.moves:
                rename(source, target)
                done.append((source, target))
        except OSError as error:
            roll_back(done)
            raise RunError(f"What was published could not be taken back ({system_reason(error)}); it is as it was. "
                           "Try again when the files can be moved.") from error


def roll_back(moves: list[tuple[Path, Path]]) -> None:
    """Undo renames, the last first."""
    for source, target in reversed(moves):
        with suppress(OSError):
            move(target, source)


def rename(source: Path, target: Path) -> None:
    """Move a file so that it is whole in one of the two places at every moment, also between two disks."""
    move(source, target)


def move(source: Path, target: Path) -> None:
    try:
        replace_when_free(source, target)
    except OSError:
        if source.stat().st_dev == target.parent.stat().st_dev:
            raise
        unfinished = target.with_name(target.name + ".tmp")
        try:
            shutil.copy2(source, unfinished)
            sync(unfinished)
            replace_when_free(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
        source.unlink()


def free(path: Path) -> Path:
    """A path that is not there: the one given, or with a number behind."""
    if not path.exists():
        return path
    candidates = (path.with_stem(f"{path.stem}-{number}") for number in range(2, 10000))
    return next(candidate for candidate in candidates if not candidate.exists())


def fingerprint(path: Path) -> str:
    """A hash of a file's content; of a large file's size, beginning, middle and end."""
    size, digest = path.stat().st_size, hashlib.sha256()
    with open(path, "rb") as file:
        for offset in range(0, size, SAMPLE) if size <= LARGE else (0, size // 2, size - SAMPLE):
            file.seek(offset)
            digest.update(file.read(SAMPLE))
    return f"{size}-{digest.hexdigest()[:32]}"
