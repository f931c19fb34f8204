"""The saved files that there are to choose from, and what a prompt needs to use one of them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_sdtune.artefacts import artefact_files
from lib_sdtune.artefacts.about import about
from lib_sdtune.artefacts.metadata import session_id
from lib_sdtune.errors import UserError
from lib_sdtune.families import registry as families
from lib_sdtune.formats.bounds import read_header
from lib_sdtune.formats.kinds import KINDS, ArtefactKind, of_content
from lib_sdtune.ldm.checkpoint import is_safetensors
from lib_sdtune.methods import registry as methods
from lib_sdtune.prompts import TAG, tags
from lib_sdtune.sections.model import Model
from lib_sdtune.training.results import artefacts_of

if TYPE_CHECKING:
    from lib_sdtune.host.base import Host
    from lib_sdtune.training.runs import RunFolder


@dataclass(frozen=True)
class Candidate:
    """One file. kind: the host's folder for it. word: for embeddings, what stands for the embedding in the prompts."""

    path: Path
    kind: str
    run: str = ""
    step: int | None = None
    epoch: int | None = None
    final: bool = False
    word: str = ""

    @property
    def stem(self) -> str:
        return self.path.stem

    @property
    def label(self) -> str:
        if self.final:
            return "end"
        return f"epoch {self.epoch}" if self.epoch else f"step {self.step}" if self.step is not None else self.stem

    def prompt(self, text: str, weight: float) -> str:
        """The prompt that uses this file at that weight."""
        text = bare(text, self)
        if KINDS[self.kind].tag:
            return f"{KINDS[self.kind].prompt_tag(self.stem, weight)} {text}".strip()
        if self.kind == "embeddings":
            used = self.stem if weight == 1 else f"({self.stem}:{weight:g})"
            replaced, count = re.subn(rf"(?<!\w){re.escape(self.word or self.stem)}(?!\w)", lambda _: used, text)
            return replaced if count else f"{used} {text}".strip()
        return text


def bare(text: str, candidate: Candidate) -> str:
    """The prompt without tags that name the run's own files."""
    own_names = names(candidate)
    return TAG.sub(lambda tag: "" if own_names.match(tag[2].split(":")[0]) else tag[0], text).strip()


def names(candidate: Candidate) -> re.Pattern[str]:
    """What the files of the candidate's run are called."""
    return re.compile(rf"{re.escape(candidate.run or candidate.stem)}(-\d{{6}}|-step\d{{8}})?$")


def weight_in(text: str, candidate: Candidate) -> float:
    """The weight at which the prompt uses one of the run's files; 1 where it does not."""
    own_names = names(candidate)
    return next((tag.weight() for tag in tags(text)[1] if own_names.match(tag.name)), 1.0)


def wordless(text: str, candidate: Candidate) -> str:
    """What the bare model can be asked instead: also without an embedding's word, which says nothing to it."""
    bare_text = bare(text, candidate)
    if candidate.kind != "embeddings":
        return bare_text
    return " ".join(re.sub(rf"(?<!\w){re.escape(candidate.word or candidate.stem)}(?!\w)", "", bare_text).split())


def of_run(host: "Host", run: "RunFolder") -> list[Candidate]:
    """The candidates of a `RunFolder`, oldest first. UserError when there is none."""
    config, status = run.config(), run.status()
    method = methods[config.method]
    folder = host.folder(method.kind)
    word = config.word if method.kind == "embeddings" else ""
    candidates = []
    ends = {row["epoch"]: row["step"] for row in run.log()}
    for path in own_files(host, run, KINDS[method.kind]):
        tail = path.stem[len(config.name) + 1:]
        if not tail:
            candidates.append(Candidate(path, method.kind, config.name, status.get("step"), final=True, word=word))
            continue
        epoch = int(tail) if tail.isdecimal() else None
        step = ends.get(epoch) if epoch else int(tail.removeprefix("step"))
        candidates.append(Candidate(path, method.kind, config.name, step, epoch, word=word))
    if not candidates:
        raise UserError(f"The run {config.name} has no saved file in {folder}; let it save every epoch "
                        "(\"save.every_n_epochs\": 1), "
                        "or take back what was published.")
    return sorted(candidates, key=lambda candidate: (candidate.final, candidate.step or 0, candidate.stem))


def own_files(host: "Host", run: "RunFolder", kind: ArtefactKind) -> list[Path]:
    """The files that this run saved, not an earlier one of its name, wherever the host's folders are now.

    The run lists what it saves; a file that it does not list is its own only if its metadata carry the run's id. A run
    without a list is believed to have saved all of its name in the host's folder.
    """
    name, identity, folder = run.config().name, str(session_id(run.config())), host.folder(kind.folder).resolve()
    listed = {path: relocated(host, kind.folder, path) for path in artefacts_of(run.path)}
    by_id = [path for path in artefact_files.of_run(host.roots(kind.folder), kind, name)
             if "artefacts" not in run.status() and path.parent.resolve() == folder or session_of(path) == identity]
    paths: dict[str, Path] = {}  # by the name that a prompt would say
    for path in (*(path for path in listed if path == listed[path]), *by_id,
                 *(path for path in listed.values() if session_of(path) in ("", identity))):
        if (path.is_file() and path.suffix.lower() in kind.endings
                and artefact_files.run_pattern(name).fullmatch(path.stem)):
            paths.setdefault(path.stem, path)
    return list(paths.values())


def relocated(host: "Host", kind: str, path: Path) -> Path:
    """Where a file is that a run wrote to `path`, after the host or its folder for such files was moved.

    A file in the host's own folders goes before another host's, and a place of more equal folders before others.
    """
    roots = [*host.roots(kind), host.folder(kind)]
    if path.exists() and any(path.is_relative_to(root) for root in roots):
        return path
    tails = [Path(*path.parts[-count:]) for count in (3, 2, 1)]
    return next((root / tail for tail in tails for root in roots if (root / tail).is_file()), path)


def session_of(path: Path) -> str:
    """The id of the run that wrote a file, or "" where it does not say, or cannot be read."""
    try:
        entries = read_header(path) if is_safetensors(path) else {}
    except (UserError, OSError):
        return ""
    facts = entries.get("__metadata__")
    return str(facts.get("ss_session_id", "")) if isinstance(facts, dict) else ""


def of_files(host: "Host", paths: Iterable[str | Path]) -> list[Candidate]:
    """Candidates of any files in the host's folders.

    UserError for missing ones, and for kinds or families that do not mix.
    """
    candidates = []
    for path in map(Path, paths):
        if not path.is_file():
            raise UserError(f"There is no file {path}.")
        # told by its place: reading it takes long
        is_checkpoint = path.absolute().is_relative_to(host.folder("checkpoints"))
        kind = KINDS["checkpoints"] if is_checkpoint else of_content(about(path)["kind"])
        if kind is None or not path.absolute().is_relative_to(host.folder(kind.folder)):
            where = f"; move it to {host.folder(kind.folder)}" if kind else ""
            raise UserError(f"{path.name} is not where a prompt could use it{where}.")
        candidates.append(Candidate(path.absolute(), kind.folder, word=path.stem))
    refuse_mixed(candidates, host)
    return candidates


def refuse_mixed(candidates: Sequence[Candidate], host: "Host", model: Model | None = None) -> None:
    """UserError where the files cannot stand in one grid, or not with the model that draws it: None is what is loaded.
    """
    first = None
    loaded = host.about(model).get("family", "")
    for candidate in candidates:
        if not candidate.path.is_file():
            raise UserError(f"{candidate.path} is not there any more; look at the run's files again.")
        if candidate.kind == "checkpoints":
            host.check(Model(checkpoint=str(candidate.path)))
            continue
        family = about(candidate.path)["family"]
        if not family:
            continue
        version = families[family].sd_version
        if first and first[1] != version:
            raise UserError(f"{first[0].path.name} is for {first[1]} and {candidate.path.name} for {version}; "
                            "one grid takes files of one family.")
        first = first or (candidate, version)
        if loaded and version != loaded:
            raise UserError(f"{candidate.path.name} is for {version} and the loaded checkpoint is {loaded}; load one "
                            "of its family first.")
    kinds = {candidate.kind for candidate in candidates}
    for kind in kinds:
        if reason := host.why_unusable(kind):
            raise UserError(reason)
    if len(kinds) > 1:
        raise UserError(f"One grid takes files of one kind, and these are of {' and '.join(sorted(kinds))}.")
