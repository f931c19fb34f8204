"""Folders being looked through for somebody who waits for the answer: others see how far it is, and can stop it."""

from lib_sdtune.declaration import build
from lib_sdtune.errors import UserError
from lib_sdtune.workshop.final import tokenizer_of
from lib_sdtune.workshop.questions import group, known
from lib_sdtune.workshop.station import Station
from lib_sdtune.workshop.work import Stopped, Work


class Looking(Station):
    """The latest one is shown."""

    def inspect(self, data):
        """What `inspect --json` says of {"images": a folder or a dataset TOML} under the settings {"dataset"}."""
        from lib_sdtune.config import DatasetConfig
        from lib_sdtune.data.inspect import inspect
        from lib_sdtune.data.subsets import toml_folders

        known(data, "images", "dataset")
        dataset = build(DatasetConfig, group(data, "dataset"), "dataset")
        path = self.jobs.access.folder(data.get("images"), "images")
        for folder in toml_folders(str(path)):
            self.jobs.access.folder(folder, "images")
        return self.through(lambda progress: inspect(path, dataset, tokenizer_of(self.jobs.host), progress))

    def through(self, function):
        """The result of `function(progress)`; UserError if somebody stopped it."""
        work = self.work = Work("reading pictures")
        try:
            work.progress(0, 0, "reading pictures")
            return function(work.progress)
        except Stopped:
            raise UserError("Stopped before all pictures were looked at.") from None
        finally:
            work.state = "done"
