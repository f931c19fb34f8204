"""How large the UNet's attention maps are: one of tokens x tokens numbers for each head of each self-attention.

Where a device has no fused kernel, `scaled_dot_product_attention` falls back to matrix products, which keep the map for
the backward pass (https://pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html).
Maps over a caption's few tokens are left out.
"""

import re
from collections.abc import Iterator

from lib_sdtune.loaded_model import ModelSpec

QUERY = re.compile(r"\.attn1\.to_q\.weight$")
DOWNSAMPLE = re.compile(r"input_blocks\.(\d+)\.0\.op\.weight$")
UPSAMPLE = re.compile(r"output_blocks\.(\d+)\.\d\.conv\.weight$")
HEADS = 8  # where their number is the same at every width
AT_ONCE = 3  # maps: the scores, their softmax, and the gradient of one of them


def numbers(spec: ModelSpec, pixels: int, recomputing: bool) -> int:
    """Numbers that the maps of one example of `pixels` latent pixels hold at most: all of them where they are kept, and
    what the largest takes while it is used.
    """
    sizes = list(map_sizes(spec, pixels))
    return sum(sizes) * (not recomputing) + AT_ONCE * max(sizes, default=0)


def map_sizes(spec: ModelSpec, pixels: int) -> Iterator[int]:
    """Numbers of each self-attention's maps."""
    shapes = spec.shapes["unet"]
    downs = [int(match[1]) for name in shapes if (match := DOWNSAMPLE.search(name))]
    ups = [int(match[1]) for name in shapes if (match := UPSAMPLE.search(name))]
    for name, shape in shapes.items():
        if QUERY.search(name):
            side, number = name.split(".")[:2]
            if side == "input_blocks":
                halvings = sum(down < int(number) for down in downs)
            elif side == "output_blocks":
                halvings = len(downs) - sum(up < int(number) for up in ups)
            else:
                halvings = len(downs)
            head_channels = spec.family.head_channels
            heads = shape[0] // head_channels if head_channels else HEADS
            yield heads * (pixels // 4**halvings) ** 2
