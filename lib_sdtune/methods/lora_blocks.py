"""Rates and dims by block of the UNet, its blocks numbered as sd-scripts numbers them in down_lr_weight and
block_dims.
"""

import re
from collections.abc import Sequence

from lib_sdtune.errors import UserError
from lib_sdtune.families.base import Target
from lib_sdtune.methods.lora_settings import LoraConfig

MIDDLE = re.compile(r"lora_unet_middle_block_(\d+)_")


class Blocks:
    """input_blocks: how many the UNet has, 12 in SD1 and SD2, 9 in SDXL. UserError for lists of another length.

    Of 25 blocks the first 12 are the down blocks, then the middle, then the up blocks. Of 23, an unused one is first
    and last, and the middle has three.
    """

    def __init__(self, settings: LoraConfig, input_blocks: int) -> None:
        self.settings, self.count = settings, input_blocks
        self.outside, self.middle = (0, 1) if input_blocks >= 12 else (1, 3)
        sides = {"down_lr_weight": input_blocks, "mid_lr_weight": self.middle, "up_lr_weight": input_blocks}
        total = 2 * (self.outside + input_blocks) + self.middle
        lists = ("block_dims", "block_alphas", "conv_block_dims", "conv_block_alphas")
        for key, length in (sides | dict.fromkeys(lists, total)).items():
            numbers = getattr(settings, key)
            if numbers and len(numbers) != length:
                raise UserError(f'Numbers in "lora.{key}": {len(numbers)}, and this model takes {length}; empty it or '
                                "complete it.")
        weights = [getattr(settings, key) or [1.0] * length for key, length in sides.items()]
        edge = [1.0] * self.outside
        self.lr_weights = [*edge, *weights[0], *weights[1], *weights[2], *edge]

    def index(self, target: Target) -> int | None:
        """The number of a layer's block; None for the text encoders."""
        block = target.block
        if block.startswith("IN"):
            return self.outside + int(block[2:])
        if block.startswith("OUT"):
            return self.outside + self.count + self.middle + int(block[3:])
        if block != "MID":
            return None
        within = MIDDLE.match(target.key)
        return self.outside + self.count + (int(within[1]) if within and self.middle > 1 else 0)

    def lr_weight(self, target: Target) -> float:
        index = self.index(target)
        return 1.0 if index is None else self.lr_weights[index]

    def dim_and_alpha(self, target: Target, spatial: bool) -> tuple[int, float]:
        """0 for a layer that is left out. spatial: whether it is a 3x3 convolution."""
        settings, index = self.settings, self.index(target)
        if self.lr_weight(target) == 0:
            return 0, 1.0
        if spatial:
            dims, alphas, dim, alpha = (settings.conv_block_dims, settings.conv_block_alphas, settings.conv_dim,
                                        settings.conv_alpha)
        else:
            dims, alphas, dim, alpha = settings.block_dims, settings.block_alphas, settings.dim, settings.alpha
        return int(chosen(dims, index, dim)), float(chosen(alphas, index, alpha))


def chosen(numbers: Sequence[float], index: int | None, otherwise: float) -> float:
    return numbers[index] if numbers and index is not None else otherwise
