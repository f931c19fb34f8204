"""When a run writes its files."""

from dataclasses import dataclass

from lib_sdtune.declaration import option


@dataclass
class SaveConfig:
    """When files are written."""

    every_n_epochs: int = option(0, "1 keeps every epoch so that you can choose.",
                                 label="Save every so many epochs", low=0, high=10**6, unit="epochs")
    every_n_steps: int = option(0, "0, or a number of steps.",
                                label="Save every so many steps", low=0, high=10**7, unit="steps")
    keep_last: int = option(0, "0 keeps all of them.", label="Keep only the last", low=0, high=10**6)
    precision: str = option("fp16", "fp16 is enough for generating.",
                            label="File precision", choices=["fp16", "bf16", "float"])
    state_every_n_steps: int = option(100, "100: how much is lost when the power fails.",
                                      label="Resume point every so many steps", low=0, high=10**7, unit="steps")
