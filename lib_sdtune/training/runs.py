"""Run folders: sdtune/runs/NAME with config.json, log.csv, samples/, state/, status.json and run.log."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lib_sdtune import optim
from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.formats import structure
from lib_sdtune.formats.files import amount, free_space, nearest_existing, write_json
from lib_sdtune.formats.names import check_artefact_name, same_name
from lib_sdtune.formats.paths import refuse_dead_link
from lib_sdtune.formats.plain_data import overlaid
from lib_sdtune.host.base import Host
from lib_sdtune.lora_tools import base_loras
from lib_sdtune.methods import registry as methods
from lib_sdtune.sections.model import Model
from lib_sdtune.training import (
    base_checkpoint,
    drawn_prompts,
    log_csv,
    name_conflicts,
    relocated_folders,
    replaced_run,
    resume_checks,
    run_lock,
    state,
    temporary_files,
)
from lib_sdtune.training.control import Control
from lib_sdtune.training.disk_space import SPARE
from lib_sdtune.training.parallel import World


class RunFolder:
    """One run on disk, whoever wrote it and whether or not it still runs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def config(self, settings: dict[str, Any] | None = None) -> Config:
        """What was asked for, or these settings in its place."""
        config = Config.from_dict(settings or self.settings())
        config.explicit = {}  # the file holds every setting; which were given was known at the beginning
        return config

    def settings(self) -> dict[str, Any]:
        """The config as it was written, which a newer version may no longer take. UserError if it cannot be read."""
        path = self.path / "config.json"
        settings: Any = structure.read(path, dict)
        if not is_config(settings):
            raise UserError(f"{path} is damaged; put it back from a copy, or start under another name.")
        return settings

    def problem(self) -> str:
        """Why the run can neither be resumed nor compared, in a sentence; "" if it can."""
        try:
            self.settings()
        except UserError as error:
            return str(error)
        if not self.copied_from():
            return ""
        return (f"The folder {self.path.name} holds the run {self.copied_from()}: it was copied or renamed. "
                "Give the folder its name back to go on with it, or delete it.")

    def copied_from(self) -> str:
        """The name of the run that a folder of another name holds; "" where it is the run's own, or not to be told."""
        settings: Any = structure.read(self.path / "config.json", dict)
        name = settings["name"] if is_config(settings) else self.path.name
        return "" if same_name(name, self.path.name) else name

    def status(self) -> dict[str, Any]:
        """The last written snapshot; {} if there is none."""
        return structure.read(self.path / "status.json", dict) or {}

    def status_problem(self) -> str:
        """Why the last snapshot is not the whole truth, in a sentence; "" if it is."""
        path = self.path / "status.json"
        damaged = path.exists() and structure.read(path, dict) is None
        return f"{path} is damaged, so how far the run was is not known." if damaged else ""

    def log(self, since: int = 0) -> list[dict[str, Any]]:
        return log_csv.read(self.path / "log.csv", since)

    def resumable(self) -> bool:
        """Whether the run is not finished and can go on: from a state, or anew where it was cut off before its first
        one.
        """
        status = self.status()
        if status.get("state") == "finished" or self.problem():
            return False
        return state.newest(self.path) is not None or not (
            status.get("artefacts") or status.get("state") in ("stopped", "failed")
        )

    def updated(self) -> float:
        """When something was last heard of it, in seconds since 1970."""
        for name in ("status.json", "config.json", "teacher.safetensors"):
            if (self.path / name).exists():
                return (self.path / name).stat().st_mtime
        return 0.0


def is_config(settings: Any) -> bool:
    """Whether this has the shape of a run's settings, whatever their version."""
    concepts = settings.get("concepts") if isinstance(settings, dict) else None
    if not isinstance(concepts, list) or not concepts or not isinstance(settings.get("name"), str):
        return False
    return all(isinstance(concept, dict) and isinstance(concept.get("prompt", ""), str) for concept in concepts)


def folder_of(host: Host, name: str) -> Path:
    return host.folder("sdtune") / "runs" / name


def all_runs(host: Host) -> list[RunFolder]:
    """Every `RunFolder` of the host, oldest first, also copied and damaged ones: see `RunFolder.problem`."""
    runs = host.folder("sdtune") / "runs"
    paths = list(runs.iterdir()) if runs.exists() else []
    for path in paths:
        replaced_run.recover(path)
    return [RunFolder(path) for path in sorted(filter(is_run_folder, paths), key=begun)]


def is_run_folder(path: Path) -> bool:
    """Whether a folder holds what a run leaves in one."""
    return not path.name.startswith(".") and any(
        (path / name).exists() for name in ("config.json", "status.json", "state")
    )


def begun(path: Path) -> float:
    """When a run was begun, in seconds since 1970, as far as its files tell."""
    times = [(path / name).stat().st_mtime for name in ("config.json", "status.json") if (path / name).exists()]
    return times[0] if times else 0.0


def begin(
    config: Config, host: Host, resume: bool = False, on_change: Callable[[Control], None] | None = None,
    restart: bool = False
) -> Control:
    """Refuse what cannot work, make the run folder, and give the `Control` that `training.run.run` wants.

    restart: somebody asked for the run in the folder to be begun once more, which has no state to go on from.

    UserError before anything is written; NameTaken when the name is in use, also by another program. The run folder is
    this process's until the run has ended.
    """
    check_artefact_name(config.name, methods[config.method].kinds(config))
    folder, world = folder_of(host, config.name), World()
    if world.is_main_process:
        replaced_run.recover(folder)
        run_lock.refuse_held(folder)  # before all that such a run's folder may lack as yet
    world.barrier()
    status = RunFolder(folder).status()
    artefacts, samples = (still_there(status.get(key)) for key in ("artefacts", "samples"))
    elapsed = status.get("elapsed_seconds")
    elapsed = elapsed if isinstance(elapsed, int | float) else 0.0
    if resume and state.newest(folder):
        resume_checks.keep_bucket_sides(config, RunFolder(folder).settings())
    model_settings = base_checkpoint.settings(folder, config, host) if resume or restart else config.model
    if world.is_main_process:
        prepare(config, model_settings, host, folder, resume, restart)
    world.barrier()
    control = Control(config, folder, on_change)
    control.model_settings = base_checkpoint.settings(folder, config, host)
    if resume:
        control.artefacts, control.samples, control.time.earlier = artefacts, samples, elapsed
    control.changed(at_once=True)
    return control


def still_there(paths: object) -> list[str]:
    """The files of an earlier status that exist; none where it was damaged."""
    paths = paths if isinstance(paths, list) else []
    return [path for path in paths if isinstance(path, str) and Path(path).exists()]


def check_settings(config: Config, model_settings: Model, host: Host) -> None:
    """UserError for settings that this machine, the host's files or the model do not allow, whatever the run's name."""
    optim.check(config.train.optimizer, config.train.optimizer_args)
    methods[config.method].check(config, host.folder)
    if spec := host.model_spec(model_settings):
        spec.variant.overridden(config.model.prediction_type, config.noise.zero_terminal_snr)
        methods[config.method].check_model(config, host.folder, spec)
    base_loras.check(config.model.base_loras, host.folder, spec)
    drawn_prompts.check(config, host)


def prepare(config: Config, model_settings: Model, host: Host, folder: Path, resume: bool, restart: bool) -> None:
    check_settings(config, model_settings, host)
    name_conflicts.check_not_published(config, folder)
    if resume:
        check_resume(config, host, folder)
    else:
        name_conflicts.check_new(config, host, folder, restart)
    cached = ["latents", "text"] if config.dataset.cache_latents else ["text"]
    for needed in (*(host.folder(kind.folder) for kind in methods[config.method].kinds(config)), folder,
                   *(folder.parent.parent / "cache" / name for name in cached)):
        check_writable(needed)
    folder.mkdir(parents=True, exist_ok=True)
    run_lock.acquire(folder)
    try:
        temporary_files.sweep(
            folder, [host.folder(kind.folder) for kind in methods[config.method].kinds(config)], config.name
        )
        if not resume:
            replaced_run.put_aside(folder)
        (folder / "samples").mkdir(exist_ok=True)
        write_json(folder / "config.json", config.to_dict())
        if not resume:
            base_checkpoint.note(folder, config, host, model_settings.checkpoint if restart else "")
    except BaseException:
        run_lock.release(folder)
        raise


def check_resume(config: Config, host: Host, folder: Path) -> None:
    path = state.newest(folder)
    if path is None:
        raise UserError(f"There is nothing to resume: {folder} holds no state. Start the run without resuming.")
    before = with_newer_settings(RunFolder(folder).settings())
    resume_checks.refuse_changes(relocated_folders.with_moves(before, config.to_dict()), config.to_dict())
    relocated_folders.refuse_other_pictures(before, config, state.load(path)[1], [host.folder("templates")])


def with_newer_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """A run's settings with the defaults of those that the version which began it did not have."""
    defaults = Config.from_dict({"name": settings["name"], "concepts": [{"images": "."}]}).to_dict()
    concepts = [defaults["concepts"][0] | concept for concept in settings["concepts"]]
    return overlaid(settings, defaults) | {"concepts": concepts}


def check_writable(folder: Path) -> None:
    """UserError when `folder` cannot be made or written, or its disk is full."""
    refuse_dead_link(folder)
    nearest = nearest_existing(folder)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        reason = "read-only" if nearest.is_dir() else "not a folder"
        raise UserError(f"{folder} cannot be written: {nearest} is {reason}. "
                        "Choose another folder, or change its permissions.")
    if free_space(nearest) < SPARE:
        raise UserError(f"The disk of {nearest} is full: {amount(free_space(nearest))} are free and a run needs at "
                        f"least {amount(SPARE)}. Make room first.")
