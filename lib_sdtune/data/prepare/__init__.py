"""A folder of snapshots turned into a training set in another folder; the originals are only ever read."""

from lib_sdtune.data.prepare.outcome import Outcome
from lib_sdtune.data.prepare.run import prepare, preview
from lib_sdtune.data.prepare.settings import PrepareConfig

__all__ = ["Outcome", "PrepareConfig", "prepare", "preview"]
