"""The settings of a LoRA of our own that went on from another file: its network is that file's, whatever they say."""

from contextlib import suppress
from typing import Any

from lib_sdtune.settings_import.entries import integer, number


def take_network_of_file(lora: Any, facts: dict[str, Any], arguments: Any) -> None:
    """Give the section "lora" the network that the metadata say, where it names an `init_file`.

    facts: the metadata. arguments: their ss_network_args.
    """
    from lib_sdtune.methods.lora_settings import OF_THE_FILE

    if not isinstance(lora, dict) or not lora.get("init_file"):
        return
    arguments = arguments if isinstance(arguments, dict) else {}
    for key in OF_THE_FILE:
        lora.pop(key, None)
    lora["network"] = "dora" if arguments.get("dora_wd") == "True" else arguments.get("algo", "lora")
    stated = {"dim": facts.get("ss_network_dim"), "alpha": facts.get("ss_network_alpha"),
              "conv_dim": arguments.get("conv_dim"), "conv_alpha": arguments.get("conv_alpha")}
    for key, value in stated.items():
        with suppress(TypeError, ValueError):  # not said, or "Dynamic"
            lora[key] = integer(value) if key.endswith("dim") else number(value)
