"""Aspect-ratio buckets: the sizes that pictures are brought to, so that those of one batch agree.

The rules are those of kohya-ss/sd-scripts (library/model_util.py `make_bucket_resolutions`, library/train_util.py
`BucketManager`), because users compare: sides are multiples of `bucket_reso_steps`, the area is at most
resolution x resolution, a picture goes to the bucket with the nearest width / height. Where those rules would fail
(a side of zero, a side beyond `max_bucket_reso`) the nearest possible size is taken.
"""

import math
from typing import NamedTuple

from lib_sdtune.sections.dataset import DatasetConfig

Size = tuple[int, int]  # (width, height) in pixels
LATENT = 8  # pixels a side that become one of the latents; sd-scripts cuts off what a smaller step leaves over


class BucketFit(NamedTuple):
    """Where a picture goes: it is scaled to `scaled`, then cropped to `size`; (width, height) in pixels."""

    size: Size
    scaled: Size


class Buckets:
    """The sizes that a `DatasetConfig` allows."""

    def __init__(self, dataset: DatasetConfig) -> None:
        self.step = max(LATENT, dataset.bucket_reso_steps) if dataset.enable_bucket else LATENT
        self.area = dataset.resolution**2
        self.longest = math.ceil(dataset.max_bucket_reso / self.step) * self.step
        self.shortest = max(self.step, self.down(dataset.min_bucket_reso))
        self.no_upscale = dataset.enable_bucket and dataset.bucket_no_upscale
        self.sizes = self.all() if dataset.enable_bucket else [self.square()]

    def down(self, side: float) -> int:
        """The largest multiple of the step within `side`."""
        return int(side) // self.step * self.step

    def square(self) -> Size:
        side = max(self.step, self.down(math.isqrt(self.area)))
        return side, side

    def all(self) -> list[Size]:
        """Every (width, height), sorted."""
        sizes = {self.square()}
        for long in range(self.shortest, self.longest + 1, self.step):
            short = min(self.longest, self.down(self.area // long))
            if short >= self.shortest:
                sizes |= {(long, short), (short, long)}
        return sorted(sizes)

    def fit(self, width: int, height: int) -> BucketFit:
        """`BucketFit` of a picture of that size."""
        if self.no_upscale:
            return self.unenlarged(width, height)
        if (width, height) in self.sizes:
            return BucketFit((width, height), (width, height))
        ratio = width / height
        size = min(self.sizes, key=lambda size: abs(size[0] / size[1] - ratio))
        return BucketFit(size, cover((width, height), size))

    def unenlarged(self, width: int, height: int) -> BucketFit:
        """The largest bucket that fits into the picture, which is made smaller only if its area is too large.

        Its sides know no shortest and no longest: sd-scripts ignores `min_bucket_reso` and `max_bucket_reso` here.
        """
        scaled = (width, height) if width * height <= self.area else self.shrunk(width / height)
        across, down = (max(self.step, self.down(side)) for side in scaled)
        fits = scaled[0] >= across and scaled[1] >= down
        return BucketFit((across, down), scaled if fits else cover((width, height), (across, down)))

    def shrunk(self, ratio: float) -> Size:
        """Sides of about the allowed area: either is a multiple of the step, whichever distorts the ratio less."""
        wide, high = math.sqrt(self.area * ratio), math.sqrt(self.area / ratio)
        by_width = max(self.step, self.rounded(wide)), max(1, self.rounded(self.rounded(wide) / ratio))
        by_height = max(1, self.rounded(self.rounded(high) * ratio)), max(self.step, self.rounded(high))
        if abs(by_width[0] / by_width[1] - ratio) < abs(by_height[0] / by_height[1] - ratio):
            width = by_width[0]
            return width, max(1, int(width / ratio + 0.5))
        height = by_height[1]
        return max(1, int(height * ratio + 0.5)), height

    def rounded(self, side: float) -> int:
        return self.down(side + 0.5)


def cover(picture: Size, size: Size) -> Size:
    """The smallest size with the picture's shape that covers `size`."""
    scale = max(size[0] / picture[0], size[1] / picture[1])
    width, height = (max(side, int(length * scale + 0.5)) for length, side in zip(picture, size, strict=True))
    return width, height


def slack(fit: BucketFit) -> Size:
    """(horizontal, vertical) pixels that the crop cuts away."""
    return fit.scaled[0] - fit.size[0], fit.scaled[1] - fit.size[1]
