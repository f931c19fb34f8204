"""What a run learns from: the scanned pictures in their order and their cached latents, and what it is measured on."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lib_sdtune.config import Config
from lib_sdtune.contradictions import schedule_fits
from lib_sdtune.data import held_out, masks
from lib_sdtune.data.cache import LatentCache
from lib_sdtune.data.caption_checks import refuse_wordless
from lib_sdtune.data.caption_length import CaptionLimit
from lib_sdtune.data.example import Example
from lib_sdtune.data.inpainting_masks import InpaintingCache
from lib_sdtune.data.loader import Dataset, none_aside
from lib_sdtune.data.picture_gone import PictureGone
from lib_sdtune.data.scan import Scan, scan
from lib_sdtune.data.text_cache import TextCache
from lib_sdtune.devices import HALVES, compute_dtype, has_own_memory, without_autocast
from lib_sdtune.errors import RunError
from lib_sdtune.families import latent_colours
from lib_sdtune.families.base import Conditioning
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.lora_tools import base_loras
from lib_sdtune.methods import registry as methods
from lib_sdtune.progress import Progress
from lib_sdtune.training.conditioner import encode_captions
from lib_sdtune.training.disk_space import SPARE, has_room
from lib_sdtune.training.encoder_keys import text_key, vae_key
from lib_sdtune.training.memory.estimate import recomputes
from lib_sdtune.training.memory.offloaded_parts import OffloadedParts, captions_are_fixed
from lib_sdtune.training.model_weights import refuse_broken_embeddings
from lib_sdtune.training.parallel import World
from lib_sdtune.training.precision import FullPrecision

log = logging.getLogger("sdtune")


class TrainingData:
    """A context manager: on entering the pictures are scanned and encoded. `progress(done, total, text)` may raise to
    stop it.

    earlier: a `Scan` whose files need not be read again where they have not changed since. pause_until(sentence,
    is_over): called where the disk is full; without it DiskFull is raised.
    """

    def __init__(self, config: Config, model: LoadedModel, run_folder: Path, progress: Progress, world: World,
                 earlier: Scan | None = None, pause_until: Callable[[str, Callable[[], bool]], None] | None = None
                ) -> None:
        self.config, self.model, self.world = config, model, world
        self.progress: Progress | None = progress
        self.earlier, self.pause_until = earlier, pause_until
        self.cache_folder = run_folder.parent.parent / "cache"
        self.offloaded_parts = OffloadedParts(lent_on_cpu=model.offloaded, device=model.device)
        self.gone: set[Path] = set()
        self.measured: tuple[Scan, list[int]] | None = None

    def __enter__(self) -> "TrainingData":
        config, model, self.measured = self.config, self.model, None
        self.templates = [model.folder("templates")] if model.folder else []
        self.scan = scan(config.concepts, config.dataset, config.loss, Path.cwd(), self.progress,
                         template_folders=self.templates, earlier=self.earlier)
        for problem in self.scan.problems:
            log.warning("%s: %s", problem.path, problem.text)
        self.warn_of_masks()
        refuse_wordless(self.scan)
        refuse_broken_embeddings(model, self.scan, config)
        methods[config.method].prepare_data(config, self.scan)
        methods[config.method].check_data(config, self.scan)
        self.build_datasets()
        schedule_fits(config, self.total_steps())
        if sentence := none_aside(self.scan.pictures, config.validation.split):
            log.warning("%s", sentence)
        folder = self.cache_folder / "latents" if config.dataset.cache_latents else None
        cache = InpaintingCache if model.variant.inpainting else LatentCache
        self.cache = cache(
            folder,
            self.encode_images,
            vae_key(model),
            self.encode_precisely,
            masks=config.dataset.alpha_mask,
            mask_files=config.dataset.masked_loss,
            downscale=model.family.downscale,
            pause=self.pause_for_room if self.pause_until else None,
        )
        self.limit = CaptionLimit(model.tokenizer, config.dataset.max_token_length)
        self.text_cache = TextCache(self.cache_folder / "text", self.encode_text, self.text_key())
        self.warn_of_foreign_vae()
        needed = self.needed()
        if config.dataset.cache_latents:
            with OffloadedParts(self.not_encoding()), self.offloaded_parts.on_gpu(model.vae):
                while gone := self.cache.prepare(needed, self.progress):
                    self.leave_out(gone)
                    needed = self.needed()
        return self

    def pause_for_room(self, sentence: str) -> None:
        """The run pauses, at its next step, until the cache has room."""
        assert self.pause_until is not None
        self.pause_until(sentence, lambda: has_room(self.cache_folder, SPARE))

    def build_datasets(self) -> None:
        self.dataset = Dataset(self.scan, self.config, copies=self.world.size)
        # the same pictures as they are measured: never turned or cut at random
        self.unaugmented = Dataset(self.scan, self.config, held_out=True)

    def leave_out(self, gone: list[PictureGone]) -> None:
        """Go on without pictures that went, or changed, since their folder was read; nothing was learned yet."""
        before, paths = self.dataset.examples_per_epoch, {error.picture.path for error in gone}
        for sentence in sorted({str(error) for error in gone}):
            log.warning("%s It is left out.", sentence)
        self.scan.pictures = [picture for picture in self.scan.pictures if picture.path not in paths]
        if all(picture.is_class for picture in self.scan.pictures):
            raise RunError(f"None of the pictures is as it was when its folder was read. {gone[0]} Start again.")
        self.build_datasets()
        log.warning("An epoch now has %d examples in place of %d.", self.dataset.examples_per_epoch, before)

    def readable(self, examples: list[Example]) -> list[Example]:
        """Those whose latents are there or can be made; a picture that went during the run is named once.

        RunError when none of the pictures that are trained on can be read any more.
        """
        return [example for example in examples if self.is_readable(example)]

    def is_readable(self, example: Example) -> bool:
        path = example.picture.path
        try:
            self.cache.latents(example)
        except PictureGone as error:
            if path not in self.gone:
                log.warning("%s It is left out from here on.", error)
                self.gone.add(path)
            if self.gone.issuperset(picture.path for picture in self.dataset.pictures):
                raise RunError(
                    f"None of the pictures can be read any more. {error} Put them back and resume."
                ) from error
            return False
        return True

    def not_encoding(self) -> list[nn.Module]:
        """What need not be on a small GPU while pictures are encoded, which takes memory of its own."""
        return [self.model.unet, *self.model.text_encoders] if self.memory_is_short() else []

    def memory_is_short(self) -> bool:
        """Whether what nothing asks for leaves the GPU's memory."""
        model = self.model
        return bool(model.offloaded) or has_own_memory(model.device) and recomputes(self.config, model.spec())

    def choose_offloaded_parts(self, text_changes: bool) -> None:
        """From here on the parts whose answers are cached wait elsewhere, where memory is short; captions are encoded
        now. text_changes: they are encoded anew at every step.
        """
        if not self.memory_is_short():
            return
        parts: list[nn.Module] = [self.model.vae] if self.config.dataset.cache_latents else []
        if not text_changes and captions_are_fixed(self.config.dataset, bool(self.scan.templates)):
            with self.text_in_full_precision():
                self.text_cache.prepare(self.dataset.fixed_captions(), self.progress)
            parts += self.model.text_encoders
        self.offloaded_parts.modules = parts

    def warn_of_masks(self) -> None:
        for problem in masks.without_effect(self.scan.pictures, self.config.dataset):
            log.warning("%s", problem.text)
        count = sum(picture.mask is not None for picture in self.scan.pictures)
        if self.config.dataset.masked_loss:
            masks.refuse_useless(self.scan.pictures)
        elif count and not self.model.variant.inpainting:
            log.warning(
                "Beside %d of the pictures lies a mask (NAME.mask.png), and nothing comes of it: the model is no "
                "inpainting model. With dataset.masked_loss only what is white in it counts.",
                count,
            )

    def warn_of_foreign_vae(self) -> None:
        with self.offloaded_parts.on_gpu(self.model.vae), without_autocast(self.model.device):
            family = latent_colours.resembled(self.model)
        if family is not None:
            log.warning(
                "The VAE makes latents as %s's does, and the model is of %s: pictures would be learned in wrong "
                "colours. Choose the VAE that belongs to the checkpoint (in the WebUI: Settings > VAE > SD VAE).",
                family.sd_version, self.model.family.sd_version,
            )

    def needed(self) -> Iterable[Example]:
        """The examples whose latents are encoded before the first step."""
        return self.dataset.variants()

    def __exit__(self, *error: Any) -> None:
        self.progress = None

    def encode_images(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """CPU float32 (mean, std) for pixels (B, 3, H, W) in -1..1."""
        with self.offloaded_parts.on_gpu(self.model.vae):
            vae = next(self.model.vae.parameters())
            with torch.no_grad(), without_autocast(vae.device):
                mean, std = self.model.family.encode_images(self.model, pixels.to(vae.device, vae.dtype))
            return mean.float().cpu(), std.float().cpu()

    def encode_precisely(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """For values that overflow half precision."""
        with FullPrecision([self.model.vae]):
            return self.encode_images(pixels)

    def text_key(self) -> str:
        """LoRAs that stay on the model may change what its text encoders say.
        """
        dataset = self.config.dataset
        key = text_key(self.model, self.config.model.clip_skip, dataset.max_token_length, dataset.weighted_captions)
        key += base_loras.digest(self.config.model.base_loras, self.model.folder)
        return f"{key}-float32" if self.widens_text() else key

    def widens_text(self) -> bool:
        """Where a run computes in float32 captions are encoded in it too, also with weights that are lent as halves."""
        compute = compute_dtype(self.config.train.mixed_precision, self.model.device, self.model.dtype)
        return compute == torch.float32 and self.model.dtype in HALVES

    def text_in_full_precision(self) -> FullPrecision:
        """The text encoders in the number format in which captions are encoded."""
        return FullPrecision(self.model.text_encoders if self.widens_text() else [])

    def encode_text(self, captions: list[str]) -> Conditioning:
        present = self.offloaded_parts.on_gpu(*self.model.text_encoders)
        with self.text_in_full_precision(), present, torch.no_grad(), without_autocast(self.model.device):
            return encode_captions(self.model, self.limit(captions), self.config)

    # the arithmetic

    @property
    def steps_per_epoch(self) -> int:
        return self.dataset.steps_per_epoch

    def total_steps(self) -> int:
        return self.dataset.total_steps

    def epoch(self, step: int) -> tuple[int, bool]:
        """(the epoch, counted from 1, that `step` belongs to; whether it ends with this step)."""
        return -(-step // self.steps_per_epoch), step % self.steps_per_epoch == 0

    def examples(self, micro_step: int) -> list[Example]:
        """The examples of one micro-batch; none where an epoch's batches do not fill its last step."""
        return self.dataset.examples(micro_step)

    def held_out(self) -> list[Example]:
        """The examples kept aside for validation: a share of the pictures, and those of a folder of their own."""
        validation, examples = self.config.validation, []
        if validation.split:
            examples = [self.unaugmented.example(index, 0) for index in self.unaugmented.chosen]
        return examples + (self.examples_of_validation_images() if validation.images else [])

    def examples_of_validation_images(self) -> list[Example]:
        """The examples of `validation.images`, without pictures that are trained on too."""
        pictures, fresh = self.validation_pictures()
        unaugmented = Dataset(pictures, self.config, held_out=True)
        return [unaugmented.example(number, 0) for number in fresh]

    def validation_pictures(self) -> tuple[Scan, list[int]]:
        """The `Scan` of `validation.images`, read once, and the numbers of its pictures that are not trained on too."""
        if self.measured is None:
            self.measured = held_out.read(self.config, self.scan, Path.cwd(), self.progress, self.templates)
        return self.measured

    def unaugmented_examples(self, is_class: bool) -> list[Example]:
        """The examples that are trained on, or those of the class, as they are measured."""
        return [
            self.unaugmented.example(index, 0)
            for index in self.dataset.chosen
            if self.scan.pictures[index].is_class == is_class
        ]
