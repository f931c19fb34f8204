"""Latents that are computed once, kept on disk, and found again by the next run.

Entries are keyed by what they depend on: the picture's bytes, the encoder, the bucket, the crop and the mirroring.
Memory holds only the latest few, however large the data set.
"""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from PIL import Image

from lib_sdtune import randomness
from lib_sdtune.data import masks, tensor_store
from lib_sdtune.data.example import Example, Mask
from lib_sdtune.data.lru_cache import LRUCache, Tensors, finite
from lib_sdtune.data.picture import Unreadable, load
from lib_sdtune.data.picture_gone import PictureGone
from lib_sdtune.data.pixels import mask, pixels
from lib_sdtune.data.plain_background import recoloured
from lib_sdtune.data.problem import printable
from lib_sdtune.data.thread_map import ordered
from lib_sdtune.errors import DiskFull, RunError, system_reason
from lib_sdtune.formats.files import is_full
from lib_sdtune.progress import Progress
from lib_sdtune.sentences import phrase

Encode = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
log = logging.getLogger("sdtune")
VERSION = 3  # raise it when files are decoded, or pictures turned into pixels, differently


class LatentCache:
    """Mean and std of the latents of pictures.

    folder: where entries are kept, or None to encode at every showing. encode(pixels (B, 3, H, W) in -1..1) gives mean
    and std, (B, 4, h, w) each. encoder_key: whatever distinguishes one encoder from another. encode_precisely: tried
    when `encode` gives values that are not numbers (half precision overflows in some encoders). masks: keep alpha masks
    too; mask_files: and the masks beside pictures. downscale: pixels a latent, each way. pause(sentence): called where
    the disk is full; the entry is made anew when it is asked for. None: DiskFull is raised.
    """

    def __init__(self, folder: Path | None, encode: Encode, encoder_key: str, encode_precisely: Encode | None = None,
                 masks: bool = False, mask_files: bool = False, downscale: int = 8,
                 pause: Callable[[str], None] | None = None) -> None:
        self.folder, self.encode, self.encoder_key = folder, encode, encoder_key
        self.encode_precisely, self.masks, self.downscale = encode_precisely, masks, downscale
        self.mask_files = mask_files
        self.recent, self.pause, self.is_full = LRUCache(), pause, False
        self.half_overflowed = False

    def latents(self, example: Example) -> tuple[torch.Tensor, torch.Tensor]:
        """(mean, std), CPU float32 (4, h, w) each."""
        entry = self.entry(example)
        return entry["mean"], entry["std"]

    def mask(self, example: Example) -> torch.Tensor | None:
        """(1, h, w) float32 in 0..1, how much each latent counts; None unless the cache keeps masks, and for
        a picture without one.
        """
        return self.entry(example).get("mask") if self.masks or self.mask_files else None

    def prepare(self, examples: Iterable[Example], progress: Progress | None = None, batch_size: int = 1
                ) -> list[PictureGone]:
        """Encode what is missing; progress(done, total, text) may raise to stop, and what is done stays done.

        What was left out, because its file could not be read any more, is the answer.
        One picture at a time by default: a batch's size can change the last bit of its latents, and then a run that was
        interrupted here would differ from one that was not.
        """
        progress = progress or (lambda done, total, text: None)
        examples = list(examples)
        missing, total = [], len(examples)
        for position, example in enumerate(examples):
            if self.stored(self.name(example)) is None:
                missing.append(example)
            if position % 100 == 0:
                progress(position + 1 - len(missing), total, "looking for latents of an earlier run")
        done = total - len(missing)
        progress(done, total, "encoding pictures")
        waiting: list = []
        gone: list[PictureGone] = []
        for example, inputs in ordered(self.inputs_or_gone, missing):
            if self.is_full:  # the others are encoded when they are shown, and kept once there is room
                return gone
            if isinstance(inputs, PictureGone):
                gone.append(inputs)
                continue
            if waiting and (len(waiting) == batch_size or waiting[0][0].size != example.size):
                gone += self.fill_or_gone(waiting)
                done += len(waiting)
                waiting = []
                progress(done, total, "encoding pictures")
            waiting.append((example, inputs))
        if waiting:
            gone += self.fill_or_gone(waiting)
            progress(total, total, "encoding pictures")
        return gone

    def name(self, example: Example) -> str:
        size, crop = "x".join(map(str, example.size)), "+".join(map(str, example.crop))
        scaled = "x".join(map(str, example.scaled))
        mask_file = self.mask_file(example)
        return tensor_store.key(VERSION, example.picture.content, self.encoder_key, size, scaled, crop, example.flip,
                         self.masks, self.downscale, *([mask_file.content] if mask_file else []),
                         *([f"background {example.background}"] if example.background else []))

    def mask_file(self, example: Example) -> Mask | None:
        """The mask beside the picture, where such masks count."""
        return example.picture.mask if self.mask_files else None

    def stored(self, name: str) -> Tensors | None:
        """The entry from memory or disk, or None."""
        entry = self.recent.get(name)
        if entry is None and self.folder is not None:
            entry = tensor_store.get(tensor_store.path_of(self.folder, name))
            if entry is not None:
                self.recent.add(name, entry)
        return entry

    def entry(self, example: Example) -> Tensors:
        entry = self.stored(self.name(example))
        return entry if entry is not None else self.fill([(example, self.inputs(example))])[0]

    def inputs(self, example: Example) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(pixels, mask or None), read from the picture's file. PictureGone if it can't be read."""
        try:
            image, alpha = load(example.picture.path, example.picture.content)
        except Unreadable as error:
            raise PictureGone(example.picture, example.picture.path.name, error) from error
        if example.background:
            dark, number = example.background
            image = recoloured(image, randomness.rng(0, "background", example.picture.content, dark, number), dark)
        return pixels(image, example), self.weights(alpha, example)

    def weights(self, alpha: Image.Image | None, example: Example) -> torch.Tensor | None:
        """(1, h, w) how much each latent counts by the picture's own transparency and the mask beside it, or None."""
        opaque = mask(alpha, example, self.downscale) if self.masks else None
        mask_file = self.mask_file(example)
        if mask_file is None:
            return opaque
        white = masks.whiteness(mask_file, example, self.downscale)
        return white if opaque is None else opaque * white

    def inputs_or_gone(self, example: Example) -> tuple[torch.Tensor, torch.Tensor | None] | PictureGone:
        try:
            return self.inputs(example)
        except PictureGone as error:
            return error

    def fill_or_gone(self, pairs: list) -> list[PictureGone]:
        try:
            self.fill(pairs)
        except PictureGone as error:  # what lies beside a picture is read here
            return [error]
        return []

    def fill(self, pairs: list) -> list[Tensors]:
        """Encode [(example of one size, its inputs)] and keep the results; the entries, in order."""
        means, stds = self.encoded(torch.stack([inputs[0] for _, inputs in pairs]), [example for example, _ in pairs])
        entries = []
        for (example, (picture, alpha_mask)), mean, std in zip(pairs, means, stds, strict=True):
            entry = {"mean": mean.clone(), "std": std.clone()} | ({} if alpha_mask is None else {"mask": alpha_mask})
            entry |= self.further(example, picture)
            entries.append(entry)
            self.keep(self.name(example), entry)
        return entries

    def further(self, example: Example, pixels: torch.Tensor) -> Tensors:
        """What else is kept of an example with these pixels (3, H, W)."""
        return {}

    def concat(self, example: Example) -> torch.Tensor | None:
        """(C, h, w) further channels that the UNet reads; None for models that read the noisy latents alone."""
        return None

    def keep(self, name: str, entry: Tensors) -> None:
        self.recent.add(name, entry)
        if self.folder is None:
            return
        try:
            tensor_store.write(tensor_store.path_of(self.folder, name), entry)
        except OSError as error:
            reason = system_reason(error)
            if not is_full(error):
                raise RunError(f"Latents could not be written to {self.folder} ({reason}). Look whether that folder is "
                               "there and may be written, or set dataset.cache_latents to false.") from error
            sentence = (f"Latents could not be written to {self.folder} ({reason}). "
                        "Make room there, or set dataset.cache_latents to false.")
            if self.pause is None:
                raise DiskFull(sentence) from error
            self.is_full = True
            self.pause(sentence)
        else:
            self.is_full = False

    def encoded(self, batch: torch.Tensor, examples: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        """(mean, std) of a batch, CPU float32. RunError where they are not numbers."""
        mean, std = on_cpu(self.encode(batch))
        for row, example in enumerate(examples):
            if finite(mean[row], std[row]):
                continue
            if self.encode_precisely is not None:
                precise_mean, precise_std = on_cpu(self.encode_precisely(batch[row : row + 1]))
                mean[row], std[row] = precise_mean[0], precise_std[0]
                self.note_half(example)
            if not finite(mean[row], std[row]):
                raise RunError(self.reason_of_failure(batch[row : row + 1], example))
        return mean, std

    def note_half(self, example: Example) -> None:
        """Say once that half precision is not enough for this VAE."""
        if not self.half_overflowed:
            log.info("The VAE overflows in half precision, first at %s; such pictures are encoded in float32.",
                     printable(example.picture.path.name))
        self.half_overflowed = True

    def reason_of_failure(self, pixels: torch.Tensor, example: Example) -> str:
        """Sentences for a picture whose latents are not numbers: a VAE that fails at plain grey too is at fault
        itself.
        """
        encode, tried = (
            (self.encode, "") if self.encode_precisely is None else
            (self.encode_precisely, phrase(" even in float32"))
        )
        name = printable(example.picture.path.name)
        if finite(*on_cpu(encode(torch.zeros_like(pixels)))):
            return (
                f"The VAE gives values that are not numbers{tried} for {name}, and sound ones for a plain "
                "grey picture. Remove that picture, or save it anew in an image editor."
            )
        return (
            f"The VAE gives values that are not numbers{tried}, for {name} as for a plain grey picture: it is the VAE. "
            "Choose another one (in the WebUI: Settings, VAE), or a checkpoint with a sound one."
        )


def on_cpu(pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    return tuple(tensor.detach().to("cpu", torch.float32, copy=True) for tensor in pair)
