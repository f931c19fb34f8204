"""The pictures that a run makes while it learns."""

from dataclasses import dataclass

from lib_sdtune.declaration import Auto, option


@dataclass
class SampleConfig:
    """Pictures made while training."""

    every_n_epochs: int = option(0, "1 shows how each epoch does.",
                                 label="Sample every so many epochs", low=0, high=10**6, unit="epochs")
    every_n_steps: Auto = option(
        "auto", "auto: before the first step and at every tenth of the run, fewer where that would take more than 15 % "
                "of the time. 0: none; or a number of steps.",
        label="Sample every so many steps", low=0, high=10**7, unit="steps")
    prompts: list[str] = option(
        [], "Empty takes trigger words and a caption; else one prompt a line. --n --w --h --d --l --s behind it set "
            "negative prompt, size, seed, CFG and steps.",
        label="Sample prompts")
    steps: int = option(20, "20 sampling steps.", label="Steps of a sample", low=1, high=150)
    cfg_scale: float = option(7.0, "7: how strictly the prompt is followed.",
                              label="Sample CFG scale", low=1, high=30)
    seed: int = option(1, "A fixed seed makes samples comparable.", label="Sample seed", low=0, high=2**32 - 1)
    width: int = option(0, "0 takes the training resolution.", label="Sample width", low=0, high=4096, unit="px")
    height: int = option(0, "0 takes the training resolution.", label="Sample height", low=0, high=4096, unit="px")
