import sys
import types
from pathlib import Path

from modules.options import OptionInfo  # noqa: F401

cmd_opts = opts = state = None
config_filename = ""
hypernetworks, loaded_hypernetworks = {}, []
hide_dirs, restricted_opts = {"visible": True}, set()


def reload_hypernetworks():
    hypernetworks.clear()
    hypernetworks.update({path.stem: str(path) for path in sorted(Path(cmd_opts.hypernetwork_dir).glob("**/*.pt"))})


class Shared(types.ModuleType):
    @property
    def sd_model(self):
        """The model in memory; asking for it loads the first one."""
        from modules import sd_models

        return sd_models.model_data.sd_model or sd_models.load_model()


sys.modules[__name__].__class__ = Shared
