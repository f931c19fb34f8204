"""Other extensions that bring LoRAs into the model by themselves: the ones to ask where weights are not the file's."""

import sys
from types import ModuleType

from modules import script_loading

from lib_sdtune.host.webui.extensions.ownership import extension_of

WORDS = ("lora", "locon", "lycoris", "lyco_")


def running() -> list[str]:
    """The folders of the running extensions whose code names LoRAs; all that tells a loader from outside."""
    modules = [*sys.modules.copy().values(), *getattr(script_loading, "loaded_scripts", {}).values()]
    return sorted({name for module in modules if isinstance(module, ModuleType)
                   and (name := extension_of(vars(module).get("__file__"))) and names_loras(name, module)})


def names_loras(extension: str, module: ModuleType) -> bool:
    return any(word in text.lower() for text in (extension, *vars(module)) for word in WORDS)


def suspects() -> str:
    """Who may have merged a LoRA into the weights, for a sentence; "another extension" where none is known to do so."""
    names = running()
    return f"another extension ({' or '.join(names)} loads LoRAs)" if names else "another extension"
