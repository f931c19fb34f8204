"""Aspect-ratio buckets: the sizes that pictures are brought to, so that those of one batch agree.

The rules are those of kohya-ss/sd-scripts (library/model_util.py `make_bucket_resolutions`, library/train_util.py
`BucketManager`), because users compare: sides are multiples of `bucket_reso_steps`, the area is at most
resolution x resolution, a picture goes to the bucket with the nearest width / height. Where those rules would fail
(a side of zero, a side beyond `max_bucket_reso`) the nearest possible size is taken.
"""

import math
from typing import NamedTuple


class Place(NamedTuple):
    """Where a picture goes: it is scaled to `scaled`, then cropped to `size`; (width, height) in pixels."""

    size: tuple
    scaled: tuple


class Buckets:
    """The sizes that a `DatasetConfig` allows."""

    def __init__(self, dataset):
        self.step = dataset.bucket_reso_steps
        self.area = dataset.resolution**2
        self.longest = math.ceil(dataset.max_bucket_reso / self.step) * self.step
        self.shortest = max(self.step, self.down(dataset.min_bucket_reso))
        self.no_upscale = dataset.enable_bucket and dataset.bucket_no_upscale
        self.sizes = self.all() if dataset.enable_bucket else [self.square()]

    def down(self, side):
        """The largest multiple of the step within `side`."""
        return int(side) // self.step * self.step

    def square(self):
        side = max(self.step, self.down(math.isqrt(self.area)))
        return side, side

    def all(self):
        """Every (width, height), sorted."""
        found = {self.square()}
        for long in range(self.shortest, self.longest + 1, self.step):
            short = min(self.longest, self.down(self.area // long))
            if short >= self.shortest:
                found |= {(long, short), (short, long)}
        return sorted(found)

    def place(self, width, height):
        """`Place` of a picture of that size."""
        if self.no_upscale:
            return self.unenlarged(width, height)
        if (width, height) in self.sizes:
            return Place((width, height), (width, height))
        ratio = width / height
        size = min(self.sizes, key=lambda one: abs(one[0] / one[1] - ratio))
        return Place(size, cover((width, height), size))

    def unenlarged(self, width, height):
        """The largest bucket that fits into the picture, which is made smaller only if its area is too large."""
        scaled = (width, height) if width * height <= self.area else self.shrunk(width / height)
        size = tuple(min(self.longest, max(self.step, self.down(side))) for side in scaled)
        fits = all(have >= want for have, want in zip(scaled, size, strict=True))
        return Place(size, scaled if fits else cover((width, height), size))

    def shrunk(self, ratio):
        """Sides of about the allowed area: one is a multiple of the step, whichever distorts the ratio less."""
        wide, high = math.sqrt(self.area * ratio), math.sqrt(self.area / ratio)
        by_width = max(self.step, self.rounded(wide)), max(1, self.rounded(self.rounded(wide) / ratio))
        by_height = max(1, self.rounded(self.rounded(high) * ratio)), max(self.step, self.rounded(high))
        if abs(by_width[0] / by_width[1] - ratio) < abs(by_height[0] / by_height[1] - ratio):
            width = by_width[0]
            return width, max(1, int(width / ratio + 0.5))
        height = by_height[1]
        return max(1, int(height * ratio + 0.5)), height

    def rounded(self, side):
        return self.down(side + 0.5)


def cover(picture, size):
    """The smallest size with the picture's shape that covers `size`."""
    scale = max(size[0] / picture[0], size[1] / picture[1])
    return tuple(max(want, int(have * scale + 0.5)) for have, want in zip(picture, size, strict=True))


def slack(place):
    """(horizontal, vertical) pixels that the crop cuts away."""
    return place.scaled[0] - place.size[0], place.scaled[1] - place.size[1]
