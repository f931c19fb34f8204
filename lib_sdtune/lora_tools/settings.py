"""What each tool is told, declared once: the HTTP API's checks and the tab's fields are read off it.

Files are named as prompts name them, without folder and ending.
"""

from dataclasses import dataclass

from lib_sdtune.declaration import Weighted, option

PRECISIONS = ["", "fp16", "bf16", "float"]


@dataclass
class Resize:
    """A LoRA of another rank."""

    file: str = option("", "The LoRA that gets another rank.", label="LoRA")
    dim: int = option(16, "The new rank; with a rule below the most that a layer may have.",
                      label="New rank", low=1, high=1024)
    conv_dim: int = option(0, "0 takes the same for convolutions.", label="New rank of convolutions", low=0, high=1024)
    dynamic_method: str = option(
        "", "Empty gives every layer the same rank; else each layer's singular values decide.",
        label="Rank by a rule", choices=["", "sv_ratio", "sv_fro", "sv_cumulative"])
    dynamic_param: float = option(
        0.9, "0.9 for sv_fro and sv_cumulative: how much is kept; for sv_ratio 10: the largest value by the smallest.",
        label="Parameter of the rule", low=0, high=1000)
    name: str = option("", "What the result is called.", label="Name of the resized LoRA")
    save_precision: str = option("", "Empty keeps what was read.", label="Precision of the resized LoRA",
                                 choices=PRECISIONS)
    overwrite: bool = option(False, "Replace a LoRA of that name.", label="Overwrite when resizing")


@dataclass
class Merge:
    """Several LoRAs as one, or in a checkpoint."""

    files: list[Weighted] = option([], "One a line: a LoRA's name, or name:0.8.", label="LoRAs to merge")
    checkpoint: str = option("", "Empty makes a LoRA; else they are put into this checkpoint.", label="Into checkpoint")
    dim: int = option(0, "0 puts them side by side, exactly; else the sum is brought to this rank.",
                      label="Rank of the sum", low=0, high=1024)
    conv_dim: int = option(0, "0 takes the same for convolutions.", label="Rank of the sum's convolutions",
                           low=0, high=1024)
    name: str = option("", "What the result is called.", label="Name of the merged file")
    save_precision: str = option("", "Empty keeps what was read.", label="Precision of the merged file",
                                 choices=PRECISIONS)
    overwrite: bool = option(False, "Replace a file of that name.", label="Overwrite when merging")


@dataclass
class Extract:
    """A LoRA of what a checkpoint has learned."""

    tuned: str = option("", "The checkpoint after its training.", label="Trained checkpoint")
    original: str = option("", "The checkpoint that it was trained from.", label="Original checkpoint")
    dim: int = option(32, "The rank of the LoRA.", label="Rank of the extracted LoRA", low=1, high=1024)
    conv_dim: int = option(0, "0 leaves the 3x3 convolutions out.", label="Rank of extracted convolutions",
                           low=0, high=1024)
    min_diff: float = option(0.01, "Text encoders are left out where no weight differs by more.",
                             label="Least difference", low=0, high=1)
    name: str = option("", "What the result is called.", label="Name of the extracted LoRA")
    save_precision: str = option("fp16", "fp16 is enough for generating.", label="Precision of the extracted LoRA",
                                 choices=PRECISIONS)
    overwrite: bool = option(False, "Replace a LoRA of that name.", label="Overwrite when extracting")


TOOLS = {"resize": Resize, "merge": Merge, "extract": Extract}
