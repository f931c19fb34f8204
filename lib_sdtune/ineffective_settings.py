"""Settings that are not followed because another one overrules them: told at Check and when a run begins."""

import dataclasses
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from lib_sdtune import optim
from lib_sdtune.contradictions import is_template
from lib_sdtune.data.subsets import is_toml
from lib_sdtune.declaration import default_of
from lib_sdtune.families.detection import detect
from lib_sdtune.ldm import positions
from lib_sdtune.methods import registry as methods
from lib_sdtune.optim import schedule
from lib_sdtune.optim.schedules import SETTINGS
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.general import rates_of
from lib_sdtune.sentences import phrase, plural

if TYPE_CHECKING:
    from torch import Tensor

    from lib_sdtune.config import Config
    from lib_sdtune.families.base import Family
    from lib_sdtune.ldm.header import Header


def ineffective(config: "Config") -> list[str]:
    """A sentence for each."""
    entries = [*(entry for entry in reasons(config) if is_set_by_user(config, entry[0])), *of_concepts(config)]
    return [*(f'"{path}" has no effect: {why}.' for path, why in dict(reversed(entries)).items()), *remarks(config)]


def by_checkpoint(config: "Config", header: "Header | None") -> list[str]:
    """The same of the checkpoint that a run would train, and what is odd about it; nothing where it is unknown."""
    if header is None:
        return []
    family, variant = detect(header)
    return by_model(config, family, variant.resolution, header.position_ids())


def by_model(config: "Config", family: "Family", resolution: int, position_ids: "list[Tensor | None]") -> list[str]:
    """Of settings that a model cannot follow, or that it was not made for, and of damage that training cannot mend.

    resolution: pixels a side that it was made for. position_ids: see `ldm.positions`.
    """
    sentences = []
    if config.model.clip_skip > 1 and not family.reads_clip_skip:
        sentences.append(f'"model.clip_skip" is {config.model.clip_skip}, and nothing comes of it: {family.sd_version} '
                         "models are read at one layer whatever it says, in the WebUI too.")
    if config.dataset.resolution * 2 <= resolution:
        sentences.append(
            f'"dataset.resolution" is {config.dataset.resolution} and this model was made for {resolution}: '
            "small pictures of it come out coarse, and that is learned."
        )
    sentences += config.settings.odd_with(family)
    return sentences + [sentence for ids in position_ids if (sentence := positions.damage(ids))]


def reasons(config: "Config") -> Iterator[tuple[str, str]]:
    """(path of a setting, why it is not followed) of every one that the other settings switch off."""
    of_method = ((f"{config.method}.{key}", why) for key, why in config.settings.ineffective())
    yield from chain(
        of_method, of_pictures(config), of_rates(config), of_noise_and_loss(config), of_files(config), too_late(config)
    )


def of_pictures(config: "Config") -> Iterator[tuple[str, str]]:
    dataset = config.dataset
    if not dataset.enable_bucket:
        keys = ("min_bucket_reso", "max_bucket_reso", "bucket_reso_steps", "bucket_no_upscale")
        yield from ((f"dataset.{key}", phrase('"dataset.enable_bucket" is off')) for key in keys)
    elif dataset.bucket_no_upscale:
        why = phrase('"dataset.bucket_no_upscale" makes buckets of the pictures\' own sizes')
        yield from ((f"dataset.{key}", why) for key in ("min_bucket_reso", "max_bucket_reso"))
    if not dataset.shuffle_caption and not dataset.caption_tag_dropout_rate and not dataset.token_warmup_step:
        yield "dataset.keep_tokens", phrase("tags are neither shuffled nor dropped nor warmed up")
    if not dataset.token_warmup_step:
        yield "dataset.token_warmup_min", phrase('"dataset.token_warmup_step" is 0')
    prompts = [concept.prompt for concept in config.concepts if concept.prompt.strip()]
    alone = ("dataset.trigger_words_rate", "dataset.background_aug_rate")
    if not prompts:
        yield from ((key, phrase("there are no trigger words")) for key in alone)
    elif all(map(is_template, prompts)):
        why = phrase("the trigger words are a template, and what it says is shown")
        yield from ((key, why) for key in alone)


def of_rates(config: "Config") -> Iterator[tuple[str, str]]:
    train, method = config.train, config.method
    scheduler = phrase(f'"train.lr_scheduler" is "{train.lr_scheduler}"')
    learning = {key: rate for key, rate in rates_of(config.settings).items() if not schedule.is_zero(rate)}
    texts = [key for key, rate in learning.items() if schedule.is_text(rate)]
    if texts and len(texts) == len(learning):  # a rate that is a number follows the scheduler, whatever the others do
        own = phrase(f'"{method}.{texts[0]}" is a schedule of its own')
        yield from ((f"train.{key}", own) for key in vars(train) if key.startswith("lr_"))
    if train.max_train_epochs and train.max_train_steps:  # 0 asks for epochs
        yield "train.max_train_steps", phrase('"train.max_train_epochs" says how long the run is')
    lacks = {"cycles": phrase(f'"train.lr_scheduler" is "{train.lr_scheduler}", which does not restart'),
             "power": phrase(f'"train.lr_scheduler" is "{train.lr_scheduler}", which has no power')}
    yield from ((f"train.{setting}", lacks.get(name, scheduler)) for name, setting in SETTINGS.items()
                if not schedule.reads(train.lr_scheduler, name))
    text_rate = getattr(config.settings, "text_encoder_lr", None)
    if text_rate is None:
        yield "train.stop_text_encoder_training", phrase("this method does not train the text encoder")
    elif schedule.is_zero(text_rate):
        yield "train.stop_text_encoder_training", phrase(f'"{method}.text_encoder_lr" is 0')


def of_noise_and_loss(config: "Config") -> Iterator[tuple[str, str]]:
    noise, loss = config.noise, config.loss
    if loss.loss_type not in ("huber", "smooth_l1"):
        why = phrase(f'"loss.loss_type" is "{loss.loss_type}"')
        yield from ((f"loss.huber_{key}", why) for key in ("c", "schedule", "scale"))
    elif loss.huber_schedule == "snr":
        yield "loss.huber_scale", phrase('the schedule "snr" does without')
    if not config.dataset.alpha_mask and not config.dataset.masked_loss:
        yield "loss.normalize_masked_area_loss", phrase('"dataset.alpha_mask" and "dataset.masked_loss" are off')
    if noise.timestep_sampling != "logit_normal":
        yield from ((f"noise.logit_{key}", phrase(f'"noise.timestep_sampling" is "{noise.timestep_sampling}"'))
                    for key in ("mean", "std"))
    if not noise.multires_noise_iterations:
        yield "noise.multires_noise_discount", phrase('"noise.multires_noise_iterations" is 0')
    if not uses_class_pictures(config):
        if loss.prior_preservation == "teacher":
            yield "loss.prior_preservation", phrase("this method learns from pictures that say its word alone")
    elif loss.prior_preservation == "pictures" and not any(
            concept.class_images or is_toml(concept.images) for concept in config.concepts):
        yield "loss.prior_loss_weight", phrase(
            'there are no class pictures, and "loss.prior_preservation" is "pictures"')
    if loss.prior_preservation == "pictures" or not uses_class_pictures(config):
        nobody = phrase("no teacher is asked")
        yield from ((f"loss.teacher_{key}", nobody) for key in ("every_n_examples", "caption_dropout_rate"))


def of_files(config: "Config") -> Iterator[tuple[str, str]]:
    if not config.save.every_n_epochs and not config.save.every_n_steps:
        yield "save.keep_last", phrase(
            'neither "save.every_n_epochs" nor "save.every_n_steps" is set, so one file is written')


def too_late(config: "Config") -> Iterator[tuple[str, str]]:
    """What is due only after the last step."""
    steps = 0 if config.train.max_train_epochs else config.train.max_train_steps
    for path in ("save.every_n_steps", "sample.every_n_steps", "train.stop_text_encoder_training"):
        section, key = path.split(".")
        number = getattr(getattr(config, section), key)
        if steps and number != "auto" and number > steps:
            yield path, phrase(f"the run has {plural(steps, 'step')}")


def uses_class_pictures(config: "Config") -> bool:
    return methods[config.method].uses_class_pictures


def of_concepts(config: "Config") -> Iterator[tuple[str, str]]:
    """The same of each concept, where only what is set is named."""
    teacher = config.loss.prior_preservation != "pictures"
    for number, concept in enumerate(config.concepts):
        where = f"concepts[{number}]"
        if is_toml(concept.images) and concept.repeats is not None:
            yield f"{where}.repeats", phrase("the dataset TOML says num_repeats")
        if is_toml(concept.images) and concept.conditioning_data_dir:
            yield f"{where}.conditioning_data_dir", phrase("the dataset TOML names the masks of each folder")
        if not uses_class_pictures(config):
            if concept.class_images:
                yield f"{where}.class_images", phrase("class pictures do not say the word, and teach it nothing")
        elif concept.class_prompt and not (concept.class_images or teacher or is_toml(concept.images)):
            yield f"{where}.class_prompt", phrase(f'"{where}.class_images" is empty, so nothing of the class is shown')


def remarks(config: "Config") -> Iterator[str]:
    """Sentences about settings that are followed, and otherwise than elsewhere or than somebody may think."""
    steps = 0 if config.train.max_train_epochs else config.train.max_train_steps
    if not config.dataset.masked_loss:
        yield from (f'"concepts[{number}].conditioning_data_dir" names masks, and "dataset.masked_loss" is off: only '
                    "inpainting models look at them."
                    for number, concept in enumerate(config.concepts) if concept.conditioning_data_dir)
    yield from of_bucket_sides(config.dataset)
    for key, rate in rates_of(config.settings).items():
        pieces = schedule.parse(rate) if schedule.is_text(rate) else []
        ends = [until for _, until in pieces if until >= 0]
        if pieces and pieces[-1][1] >= 0 and (not steps or ends[-1] < steps):
            yield (
                f'"{config.method}.{key}" says nothing after step {ends[-1]}: its last rate, {pieces[-1][0]:g}, is '
                "kept to the end. The WebUI's own training would stop there; for that, set the number of steps."
            )
        if steps and any(end >= steps for end in ends[:-1] or ends[:len(pieces) - 1]):
            yield f'"{config.method}.{key}" goes on after the last step, {steps}, so its later rates are never used.'
    shortened = config.train.max_grad_norm and is_set_by_user(config, "train.max_grad_norm")
    if shortened and methods[config.method].fused_backward and not optim.needs_all(config.train.optimizer):
        yield (
            '"train.max_grad_norm" limits the gradient of each tensor by itself: this method keeps no more than one of '
            "them in memory."
        )


def of_bucket_sides(dataset: DatasetConfig) -> Iterator[str]:
    """Where they leave squares alone, or none of the resolution; sd-scripts refuses both."""
    low, high, resolution = dataset.min_bucket_reso, dataset.max_bucket_reso, dataset.resolution
    if not dataset.enable_bucket or dataset.bucket_no_upscale:
        return
    if low > resolution:
        yield (f'"dataset.min_bucket_reso" is {low} and "dataset.resolution" {resolution}, so every picture would be '
               f"cropped to a square; set the first to {resolution // 2}, or leave it out.")
    if high < resolution:
        yield (f'"dataset.max_bucket_reso" is {high} and "dataset.resolution" {resolution}, so pictures would be '
               f"smaller than that; set the first to {2 * resolution}, or leave it out.")


def is_set_by_user(config: "Config", path: str) -> bool:
    """Whether somebody asked for that setting, and for something else than its default. What suits the model, or comes
    with a preset, is no one's wish.
    """
    section, key = path.split(".")
    settings = getattr(config, section)
    return key in config.explicit.get(section, {}) and getattr(settings, key, None) != default(settings, key)


def default(settings: Any, key: str) -> Any:
    field = next((field for field in dataclasses.fields(settings) if field.name == key), None)
    return None if field is None else default_of(field)
