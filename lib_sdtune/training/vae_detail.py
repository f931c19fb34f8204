"""What a model can show at most: where its VAE loses the fine parts of pictures, no training brings them back.

Latents have an eighth of a picture's sides. What does not come back on the way through them cannot be learned; a larger
resolution, or a closer view, helps.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lib_sdtune.data.example import Example
from lib_sdtune.data.loader import Dataset
from lib_sdtune.data.picture import Unreadable, load
from lib_sdtune.data.pixels import pixels
from lib_sdtune.devices import without_autocast
from lib_sdtune.host.base import Host
from lib_sdtune.loaded_model import LoadedModel

FINE = 5  # pixels: what is no larger is a fine part
# share of the fine parts that comes back: below it lie all 5 of 624 drawings of 26 forms that are no longer recognised
# after the embedded model's VAE, and 13 that are
MIN_SHARE = 0.25
MAX_PICTURES = 4  # pictures that are looked at
LOOKING = "looking at what the VAE keeps"


def fine_parts(images: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W): what is left of images (B, C, H, W) without their means over `FINE` x `FINE` pixels."""
    padded = F.pad(images, (FINE // 2,) * 4, mode="replicate")
    return images - F.avg_pool2d(padded, FINE, 1)


def share_kept(image: torch.Tensor, reconstructed: torch.Tensor) -> float:
    """The share of the fine parts of (1, C, H, W) that comes back: 1 all of it, 0 and below nothing of use."""
    fine = fine_parts(image)
    lost = (fine - fine_parts(reconstructed)).square().sum()
    return 1 - float(lost / fine.square().sum().clamp(min=1e-6))


@torch.no_grad()
def reconstructed(model: LoadedModel, image: torch.Tensor, halfway: Callable[[], None] = lambda: None) -> torch.Tensor:
    """(1, 3, H, W) float32 on the CPU: an image in -1..1 after the way through the model's VAE and back.

    halfway(): called between the two, may raise.
    """
    vae: Any = model.vae
    weight = vae.post_quant_conv.weight
    with without_autocast(weight.device):
        mean, _ = model.family.encode_images(model, image.to(weight.device, weight.dtype))
        halfway()
        latents = (mean / model.family.scale_factor).to(weight.device, weight.dtype)
        return vae.decoder(vae.post_quant_conv(latents)).float().cpu()


def examples_to_look_at(dataset: Dataset) -> list[Example]:
    """At most `MAX_PICTURES` of the subject's pictures, evenly spread."""
    numbers = [number for number in dataset.chosen if not dataset.scan.pictures[number].is_class]
    return [dataset.example(number, 0) for number in numbers[:: -(-len(numbers) // MAX_PICTURES) or 1]]


def lost_detail(host: Host, model_settings: object, dataset: Dataset,
                progress: Callable[[int, int, str], None] = lambda *_: None) -> str:
    """A sentence where the model's VAE loses the fine parts of pictures, else ""; the model is borrowed meanwhile.

    progress(done, total, text) may raise to stop: on a processor a large picture takes a minute.

    What cannot be encoded in the model's own number format (values that are not finite) is passed over.
    """
    names, shares, examples = [], [], examples_to_look_at(dataset)
    progress(0, len(examples), LOOKING)
    with host.borrow(model_settings, ["unet", "text_encoder"]) as model:
        for number, example in enumerate(examples):
            def go_on(number: int = number) -> None:
                progress(number, len(examples), LOOKING)

            go_on()
            try:
                image = pixels(load(example.picture.path, example.picture.content)[0], example)[None]
            except Unreadable:
                continue
            share = share_kept(image, reconstructed(model, image, go_on))
            if share == share:
                names.append(example.picture.relative)
                shares.append(share)
    return sentence(names, shares)


def sentence(names: Sequence[str], shares: Sequence[float]) -> str:
    """About those of the pictures of these names whose fine parts do not come back."""
    lost = [name for name, share in zip(names, shares, strict=True) if share < MIN_SHARE]
    if not lost:
        return ""
    return (f"The model's own VAE loses the fine parts of {len(lost)} of the {len(names)} pictures that were looked at "
            f"({', '.join(lost)}): it cannot draw them sharply, however long it is trained. A higher training "
            "resolution or a closer view helps.")
