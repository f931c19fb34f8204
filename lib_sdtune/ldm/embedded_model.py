"""Our own small model: where it is, and what its file says of it where another program has lost that."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from lib_sdtune.ldm import checkpoint

EMBEDDED = Path(__file__).with_name("embedded") / "model.safetensors"
SIZES = ("sdtune_resolution", "modelspec.resolution")


def with_lost_metadata(shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str]) -> dict[str, str]:
    """A checkpoint's metadata; those of the embedded model too where it is made like that one and names no size.

    A .ckpt has no metadata, and many a program that merges or converts checkpoints writes none.
    """
    if any(key in metadata for key in SIZES) or not EMBEDDED.is_file():
        return dict(metadata)
    own_shapes, own_metadata = embedded()
    if unet(shapes) != own_shapes:
        return dict(metadata)
    return {key: value for key, value in own_metadata.items() if key.startswith("sdtune_")} | dict(metadata)


@lru_cache(maxsize=1)
def embedded() -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """(shapes of its UNet, metadata)"""
    shapes, metadata = checkpoint.header(EMBEDDED)
    return unet(shapes), metadata


def unet(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in shapes.items() if name.startswith(checkpoint.UNET)}
