"""Settings that would contradict each other here, brought to agree; what gives way is told.

Each function is for what one check of `lib_sdtune.contradictions` would refuse.
"""

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from lib_sdtune import optim
from lib_sdtune.contradictions import MIN_OWN_RATE
from lib_sdtune.errors import UserError
from lib_sdtune.methods import registry as methods
from lib_sdtune.optim import schedule
from lib_sdtune.sections.dataset import with_bucket_sides
from lib_sdtune.sections.general import rates_of
from lib_sdtune.settings_import.built import build
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry


def change(draft: Draft, path: str, value: Any, reason: str) -> None:
    """Give way in one setting, and say so."""
    before = draft.get(path)
    if before == value:
        return
    entry = draft.origins.get(path) or Entry(draft.assumed.pop(path, path), before)
    draft.assign(path, value)
    draft.notes.differ(entry, reason, path, value)


def length(draft: Draft) -> None:
    steps, epochs = draft.get("train.max_train_steps", 1500), draft.get("train.max_train_epochs", 0)
    if not steps and not epochs:
        change(draft, "train.max_train_steps", 1600, "0 steps would train nothing")
        steps = 1600
    warmup = draft.get("train.lr_warmup_steps", 0)
    if warmup and draft.get("train.lr_scheduler") == "constant":
        change(draft, "train.lr_scheduler", "constant_with_warmup", "constant takes no warm-up, there and here")
    if not epochs and warmup >= steps:
        change(draft, "train.lr_warmup_steps", max(0, steps - 1), "the warm-up would be as long as the run")
    if draft.get("train.lr_scheduler") == "warmup_stable_decay" and not draft.get("train.lr_decay_steps"):
        change(draft, "train.lr_scheduler", "constant_with_warmup", "without steps in which it falls")
    if draft.get("train.lr_scheduler") == "warmup_stable_decay" and not epochs:
        room = steps - draft.get("train.lr_warmup_steps", 0)
        if draft.get("train.lr_decay_steps") > room:
            change(draft, "train.lr_decay_steps", room, "the rate would fall before the warm-up is over")


def noise(draft: Draft) -> None:
    if draft.get("noise.adaptive_noise_scale") and not draft.get("noise.noise_offset"):
        change(draft, "noise.adaptive_noise_scale", 0.0, "adds to noise_offset, which is 0")


def timesteps(draft: Draft) -> None:
    low, high = draft.get("noise.min_timestep", 0), draft.get("noise.max_timestep", 1000)
    if low >= high:
        change(draft, "noise.min_timestep", 0, "the lowest timestep must be below the highest")


def buckets(draft: Draft) -> None:
    data = draft.config.setdefault("dataset", {})
    if not data.get("enable_bucket", True):
        resolution = data.get("resolution", 512)
        change(draft, "dataset.resolution", max(64, resolution // 8 * 8), "a multiple of 8 without buckets")
        return
    steps = data.get("bucket_reso_steps", 64)
    if steps > 8 and steps % 8:
        change(draft, "dataset.bucket_reso_steps", steps // 8 * 8, "above 8 a multiple of 8, the size of a latent")
    sides = with_bucket_sides({"resolution": 512} | data)
    resolution, low, high = (sides[key] for key in ("resolution", "min_bucket_reso", "max_bucket_reso"))
    if not data.get("bucket_no_upscale"):
        if low > resolution:
            low = resolution // 2
            change(draft, "dataset.min_bucket_reso", low, "half the resolution: it must not be longer")
        if high < resolution:
            high = 2 * resolution
            change(draft, "dataset.max_bucket_reso", high, "twice the resolution: it must not be shorter")
    if low > high:
        change(draft, "dataset.min_bucket_reso", high, "the shortest side must not be longer than the longest")
    if data.get("bucket_reso_steps", 64) > high:
        change(draft, "dataset.bucket_reso_steps", max(8, high // 8 * 8), "no bucket would fit")


def rates(draft: Draft) -> None:
    """Something learns, and an optimizer that finds its rate itself gets one rate near 1."""
    settings = methods[draft.method].Settings()
    ours = rates_of(settings)
    section = draft.config.setdefault(draft.method, {})
    for key, rate in ours.items():
        try:
            schedule.parse(section.get(key, rate))
        except UserError:
            change(draft, f"{draft.method}.{key}", rate, "is no rate that can be read")
    values = {key: section.get(key, ours[key]) for key in ours}
    if not any(is_learning(rate) for rate in values.values()):
        for key, rate in ours.items():
            change(draft, f"{draft.method}.{key}", rate, "a rate of 0 for everything would train nothing")
        values = {key: section.get(key, ours[key]) for key in ours}
    if not optim.finds_rate(draft.get("train.optimizer", "AdamW")):
        return
    optimizer = draft.get("train.optimizer")
    learning = {key: rate for key, rate in values.items() if is_learning(rate)}
    first = next(iter(learning.values()))
    rate = first if not isinstance(first, str) and first >= MIN_OWN_RATE else 1.0
    for key in learning:
        change(
            draft,
            f"{draft.method}.{key}",
            float(rate),
            f"{optimizer} finds its rate itself and takes one for all, near 1",
        )


def is_learning(rate: Any) -> bool:
    return not schedule.is_zero(rate)


def text_encoder(draft: Draft) -> None:
    """A stop of the text encoder where nothing else learns would end the run early."""
    stop = draft.get("train.stop_text_encoder_training", 0)
    section = draft.config.get(draft.method, {})
    if stop and section.get("unet_lr") == 0:
        change(draft, "train.stop_text_encoder_training", 0, "the text encoder alone learns, so it goes on to the end")


def class_pictures(draft: Draft) -> None:
    """Other programs ask neither a teacher nor the model itself for words; what is no folder of class pictures is left
    out.
    """
    draft.config.setdefault("loss", {}).setdefault("prior_preservation", "pictures")
    draft.config.setdefault("dataset", {}).setdefault("describe", [])
    for index, concept in enumerate(draft.config["concepts"]):
        if not concept.get("class_images"):
            if concept.pop("num_class_images", 0):
                draft.notes.differ(Entry(f"concepts[{index}].num_class_images", "set"),
                                   "left out, for no folder is named that keeps class pictures")
            continue
        folder, pictures = (
            PurePath(str(concept.get(key, "")).replace("\\", "/")) for key in ("class_images", "images")
        )
        if concept.get("images") and (folder == pictures or pictures in folder.parents):
            draft.notes.differ(Entry(f"concepts[{index}].class_images", concept.pop("class_images")),
                               "lies in the folder of the pictures and is left out; keep class pictures elsewhere")
            concept.pop("num_class_images", None)
        elif not str(concept.get("class_prompt", "")).strip():
            concept["class_prompt"] = "a picture"
            draft.notes.differ(Entry(f"concepts[{index}].class_prompt", "empty"),
                               'what the class pictures show must be said here; "a picture" stands there')


def sizes(draft: Draft) -> None:
    for key in ("width", "height"):
        side = draft.get(f"sample.{key}", 0)
        if side % 8:
            change(draft, f"sample.{key}", side // 8 * 8, "a multiple of 8")


def validation(draft: Draft) -> None:
    if draft.get("validation.every_n_steps") and not (draft.get("validation.split") or draft.get("validation.images")):
        change(draft, "validation.every_n_steps", 0, "no picture is kept aside")
    images = draft.get("validation.images")
    if images and any(
        PurePath(images) == PurePath(str(concept.get("images", ""))) for concept in draft.config["concepts"]
    ):
        change(draft, "validation.images", "", "that folder is trained on")


def words(draft: Draft) -> None:
    if draft.method == "textual_inversion" and draft.get("dataset.caption_dropout_rate", 0) >= 1:
        change(draft, "dataset.caption_dropout_rate", 0.0, "no caption would say the word")


def precision(draft: Draft) -> None:
    if draft.get("dreambooth.weights") == "bfloat16" and draft.get("train.mixed_precision") == "no":
        change(draft, "dreambooth.weights", "auto", "float32 is asked for")


def networks(draft: Draft) -> None:
    """What the chosen kind of network, or optimizer, does not take goes back to doing nothing."""
    if draft.method != "lora":
        return
    for _ in NEUTRAL:
        try:
            build(draft)
            return
        except UserError as error:
            keys = [key for key in NEUTRAL if str(error).startswith(f'"lora.{key}"')]
            if "LoRA+" in str(error):
                keys = [key for key in NEUTRAL if key.endswith(("lr_ratio", "lr_weight"))]
            for key in keys:
                change(draft, f"lora.{key}", NEUTRAL[key], f"not with this kind of network or optimizer: {error}")


NEUTRAL = {"network_dropout": 0.0, "loraplus_lr_ratio": 1.0, "scale_weight_norms": 0.0, "down_lr_weight": [],
           "mid_lr_weight": [], "up_lr_weight": [], "rank_dropout": 0.0, "module_dropout": 0.0, "use_tucker": False,
           "block_dims": [], "block_alphas": [], "conv_block_dims": [], "conv_block_alphas": []}

AGREEMENTS: tuple[Callable[[Draft], None], ...] = (
    length, noise, timesteps, buckets, rates, text_encoder, class_pictures, sizes, validation, words, precision,
    networks)
