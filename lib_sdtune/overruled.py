"""Settings that are not followed because another one overrules them: told at Check and when a run begins."""

import dataclasses
from typing import TYPE_CHECKING, Any

from lib_sdtune.config import rates_of
from lib_sdtune.families.detection import detect
from lib_sdtune.ldm import positions
from lib_sdtune.optim import schedule

if TYPE_CHECKING:
    from torch import Tensor

    from lib_sdtune.config import Config
    from lib_sdtune.families.base import Family
    from lib_sdtune.ldm.header import Header


def overruled(config: "Config") -> list[str]:
    """A sentence for each."""
    paths = [*(entry for entry in reasons(config) if differs(config, entry[0])), *class_pictures(config)]
    return [f'"{path}" has no effect: {why}.' for path, why in paths]


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
    if config.dataset.resolution * 2 < resolution:
        sentences.append(f'"dataset.resolution" is {config.dataset.resolution} and this model was made for {resolution}: '
                         "small pictures of it come out coarse, and that is learned.")
    return sentences + [sentence for ids in position_ids if (sentence := positions.damage(ids))]


def reasons(config: "Config"):
    """(path of a setting, why it is not followed) of every one that the other settings switch off."""
    train, method = config.train, config.method
    texts = [key for key, rate in rates_of(config.settings).items() if schedule.is_text(rate)]
    if texts:
        why = f'"{method}.{texts[0]}" is a schedule of its own'
        yield from ((f"train.{key}", why) for key in ("lr_scheduler", "lr_warmup_steps"))
    if train.max_train_epochs:
        yield "train.max_train_steps", '"train.max_train_epochs" says how long the run is'
    if train.lr_scheduler != "cosine_with_restarts":
        yield "train.lr_scheduler_num_cycles", f'"train.lr_scheduler" is "{train.lr_scheduler}", which does not restart'
    if train.lr_scheduler != "polynomial":
        yield "train.lr_scheduler_power", f'"train.lr_scheduler" is "{train.lr_scheduler}", which has no power'
    if not hasattr(config.settings, "text_encoder_lr"):
        yield "train.stop_text_encoder_training", "this method does not train the text encoder"
    if config.loss.loss_type not in ("huber", "smooth_l1"):
        why = f'"loss.loss_type" is "{config.loss.loss_type}"'
        yield from ((f"loss.huber_{key}", why) for key in ("c", "schedule", "scale"))
    elif config.loss.huber_schedule == "snr":
        yield "loss.huber_scale", 'the schedule "snr" does without'
    if not config.noise.multires_noise_iterations:
        yield "noise.multires_noise_discount", '"noise.multires_noise_iterations" is 0'
    if not config.sample.prompts:
        yield from ((f"sample.{key}", '"sample.prompts" is empty') for key in ("every_n_epochs", "every_n_steps"))
    if not config.save.every_n_epochs and not config.save.every_n_steps:
        yield "save.keep_last", 'neither "save.every_n_epochs" nor "save.every_n_steps" is set, so one file is written'
    if not getattr(config.settings, "dropout", True):
        yield f"{method}.dropout_structure", f'"{method}.dropout" is off'


def class_pictures(config: "Config"):
    from lib_sdtune.methods import registry

    if not registry[config.method].uses_class_pictures:
        for number, concept in enumerate(config.concepts):
            if concept.class_images:
                yield f"concepts[{number}].class_images", "class pictures do not say the word, and teach it nothing"


def differs(config: "Config", path: str) -> bool:
    """Whether the setting is not what it is by default."""
    section, key = path.split(".")
    settings = getattr(config, section)
    return getattr(settings, key, None) != default(settings, key)


def default(settings: Any, key: str) -> Any:
    field = next((field for field in dataclasses.fields(settings) if field.name == key), None)
    if field is None:
        return None
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
