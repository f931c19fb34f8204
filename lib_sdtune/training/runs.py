"""Run folders: sdtune/runs/NAME with config.json, log.csv, samples/, state/, status.json and run.log."""

import os

from lib_sdtune import optim
from lib_sdtune.config import Config
from lib_sdtune.errors import NameTaken, UserError
from lib_sdtune.formats.files import free_space, read_json, write_json
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.formats.names import check_name
from lib_sdtune.methods import registry as methods
from lib_sdtune.training import log, replaced, run_lock, state
from lib_sdtune.training.control import Control
from lib_sdtune.training.memory.room import SPARE, amount, existing
from lib_sdtune.training.parallel import World
from lib_sdtune.training.results import intermediate


class RunFolder:
    """One run on disk, whoever wrote it and whether or not it still runs."""

    def __init__(self, path):
        self.path = path

    def config(self):
        return Config.from_dict(self.settings())

    def settings(self):
        """The config as it was written, which a newer version may no longer take. UserError if it cannot be read."""
        path = self.path / "config.json"
        try:
            return read_json(path)
        except (OSError, ValueError):
            raise UserError(f"{path} is damaged; put it back from a copy, or start under another name.") from None

    def readable(self):
        try:
            return isinstance(self.settings(), dict)
        except UserError:
            return False

    def status(self):
        """The last written snapshot; {} if there is none."""
        try:
            return read_json(self.path / "status.json")
        except (OSError, ValueError):
            return {}

    def log(self, since=0):
        return log.read(self.path / "log.csv", since)

    def resumable(self):
        """Whether the run is not finished and can go on: from a state, or anew where it was cut off before its first one."""
        status = self.status()
        if status.get("state") == "finished":
            return False
        return state.newest(self.path) is not None or not (status.get("artefacts") or status.get("state") in ("stopped", "failed"))

    def updated(self):
        """When something was last heard of it, in seconds since 1970."""
        for name in ("status.json", "config.json", "teacher.safetensors"):
            if (self.path / name).exists():
                return (self.path / name).stat().st_mtime
        return 0.0


def folder_of(host, name):
    return host.folder("sdtune") / "runs" / name


def all_runs(host):
    """Every `RunFolder` of the host that holds a config that can be read, oldest first."""
    runs = host.folder("sdtune") / "runs"
    found = [path for path in runs.iterdir() if (path / "config.json").exists()] if runs.exists() else []
    ordered = sorted(found, key=lambda path: (path / "config.json").stat().st_mtime)
    return [folder for folder in map(RunFolder, ordered) if folder.readable()]


def begin(config, host, resume=False, on_change=None):
    """Refuse what cannot work, make the run folder, and give the `Control` that `training.run.run` wants.

    UserError before anything is written; NameTaken when the name is in use, also by another program. The run folder is
    this process's until the run has ended.
    """
    folder, world = folder_of(host, check_name(config.name)), World()
    if world.leads:
        prepare(config, host, folder, resume)
    world.gather()
    control = Control(config, folder, on_change)
    control.changed(at_once=True)
    return control


def prepare(config, host, folder, resume):
    optim.check(config.train)
    methods[config.method].check(config, host.folder)
    if holding := host.holding(config.model):
        holding.variant.overridden(config.model.prediction_type, config.noise.zero_terminal_snr)
        methods[config.method].check_model(config, host.folder, holding)
    check_not_published(config, folder)
    (check_resume if resume else check_new)(config, host, folder)
    for needed in (host.folder(methods[config.method].kind), folder):
        check_writable(needed)
    folder.mkdir(parents=True, exist_ok=True)
    run_lock.acquire(folder)
    try:
        if not resume:
            replaced.put_aside(folder)
        write_json(folder / "config.json", config.to_dict())
    except BaseException:
        run_lock.release(folder)
        raise


def check_not_published(config, folder):
    if (folder / "published.json").exists():
        raise NameTaken(f"A file of the run {config.name} is published, and training on would mix it with new ones. "
                        "Take that back first, or choose another name.")


def check_new(config, host, folder):
    method = methods[config.method]
    kind = host.folder(method.kind)
    if config.overwrite:
        return
    for suffix in KINDS[method.kind].endings:
        for path in [p for p in [kind / f"{config.name}{suffix}", *intermediate(kind, config.name, suffix)] if p.exists()]:
            raise NameTaken(f"{path} exists already. Choose another name, or allow overwriting (\"overwrite\": true).")
    if state.newest(folder):
        raise NameTaken(f"A run called {config.name} is in {folder} and can be resumed. Resume it, choose another name, "
                        "or allow overwriting (\"overwrite\": true).")


def check_resume(config, host, folder):
    path = state.newest(folder)
    if path is None:
        raise UserError(f"There is nothing to resume: {folder} holds no state. Start the run without resuming.")
    state.refuse_changes(RunFolder(folder).settings(), config.to_dict())


def check_writable(folder):
    """UserError when `folder` cannot be made or written, or its disk is full."""
    place = existing(folder)
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise UserError(f"{folder} cannot be written: {place} is {'read-only' if place.is_dir() else 'not a folder'}. "
                        "Choose another folder, or change its permissions.")
    if free_space(place) < SPARE:
        raise UserError(f"The disk of {place} is full: {amount(free_space(place))} are free and a run needs at least "
                        f"{amount(SPARE)}. Make room first.")
