"""The queue, the runs and the services of one process put together, for the tab, the API and the command line.

It lives in the package, so it survives the WebUI's "Reload UI". Nothing heavy is imported before it is needed.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_sdtune.access import Access
from lib_sdtune.errors import WrongState
from lib_sdtune.jobs import Jobs
from lib_sdtune.services.captions import CaptionSessions
from lib_sdtune.services.class_pictures import ClassPictureService
from lib_sdtune.services.context import ServiceContext
from lib_sdtune.services.inspection import InspectionService
from lib_sdtune.services.lora_tools import LoraToolService
from lib_sdtune.services.memory import MemoryService
from lib_sdtune.services.own_presets import OwnPresets
from lib_sdtune.services.picture_sets import PictureSets
from lib_sdtune.services.preparing import PrepareService
from lib_sdtune.services.settings_import import SettingsImportService
from lib_sdtune.services.submission import read_config

if TYPE_CHECKING:
    from lib_sdtune.config import Config
    from lib_sdtune.evaluation.service import EvaluationService
    from lib_sdtune.host.base import Host


class App:
    """`make_host` is called when the host is needed first. access: who may ask for what."""

    def __init__(self, make_host: "Callable[[], Host]", access: Access | None = None) -> None:
        self.context = ServiceContext(make_host, access)
        self.jobs = Jobs(self.context)
        self.captions = CaptionSessions(self.context)
        self.preparing = PrepareService(self.context)
        self.class_pictures = ClassPictureService(self.context)
        self.memory = MemoryService(self.context)
        self.inspection = InspectionService(self.context)
        self.lora_tools = LoraToolService(self.context)
        self.picture_sets = PictureSets(self.context)
        self.presets = OwnPresets(self.context.sdtune_folder)
        self.settings_import = SettingsImportService(self.context)
        self._evaluation: EvaluationService | None = None
        self._lock = threading.Lock()

    @property
    def host(self) -> "Host":
        return self.context.host

    @property
    def access(self) -> Access:
        return self.context.access

    @access.setter
    def access(self, access: Access) -> None:
        self.context.access = access

    @property
    def evaluation(self) -> "EvaluationService":
        """Where a run's files are compared and published; it imports torch."""
        from lib_sdtune.evaluation.service import EvaluationService

        with self._lock:
            if self._evaluation is None:
                self._evaluation = EvaluationService(self.context)
            return self._evaluation

    def about(self) -> dict[str, Any]:
        """The model that a run would train now; "on" is the run that has the model, "deferred_settings" what was
        changed meanwhile, see `Host.deferred_settings`.
        """
        on, deferred = self.jobs.on(), self.host.deferred_settings()
        return {**self.host.about(), **({"on": {"id": on, "model": self.jobs.model(on)}} if on else {}),
                **({"deferred_settings": deferred} if deferred else {})}

    def drop_deferred_setting(self, name: str) -> dict[str, Any]:
        self.host.drop_deferred_setting(name)
        return self.about()

    def submit(self, data: "dict | Config") -> dict[str, str]:
        """Queue a run, given as CONFIG's nested dict or as a `Config`. UserError, NameTaken if it cannot be.

        Gives its name and the checkpoint that it trains: {"id", "model"}.

        While its pictures are being read, watchers of the inspection see how far that is, and can stop it.
        """
        config = read_config(data, self.host)
        name = self.inspection.watch(lambda progress: self.jobs.submit(config, progress))
        return {"id": name, "model": self.jobs.model(name)}

    def delete(self, name: str) -> None:
        """Remove a run's folder: `Jobs.delete`, and WrongState while its files are being compared."""
        if self._evaluation is None:
            return self.jobs.delete(name)
        with self._evaluation.changing:
            folder = self.jobs.folder(name)
            self._evaluation.refuse_busy(folder)
            self.jobs.delete(name)
            self._evaluation.tasks.pop(folder.path, None)

    def rename_pictures(self, name: str, data: dict) -> dict[str, str]:
        """Call a set of uploaded pictures {"to"}: `PictureSets.rename`, and WrongState while a run reads it."""
        with self.jobs.queue.lock:
            self.refuse_read(self.picture_sets.folder_of(name))
            return self.picture_sets.rename(name, data)

    def delete_pictures(self, name: str) -> dict[str, str]:
        """Remove a set of uploaded pictures: `PictureSets.delete`, and WrongState while a run reads it."""
        with self.jobs.queue.lock:
            self.refuse_read(self.picture_sets.folder_of(name))
            return self.picture_sets.delete(name)

    def refuse_read(self, folder: Path) -> None:
        """WrongState while a run that is on or waits, here or in another program, reads pictures of a folder."""
        from lib_sdtune.training import run_lock
        from lib_sdtune.training.read_folders import reads
        from lib_sdtune.training.runs import all_runs

        for run in all_runs(self.host):
            name = run.path.name
            if (self.jobs.is_live(name) or run_lock.holder(run.path)) and reads(run.config(), folder):
                raise WrongState(f"The run {name} learns from these pictures; wait until it has ended, or stop it.")


_shared: App | None = None


def shared(make_host: "Callable[[], Host]", access: Access | None = None) -> App:
    """The one `App` of this process; the arguments count the first time, `access` each time."""
    global _shared
    if _shared is None:
        _shared = App(make_host, access)
    elif access is not None:
        _shared.access = access
    return _shared
