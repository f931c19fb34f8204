"""How pictures and captions become training examples."""

from dataclasses import dataclass
from typing import Any

from lib_sdtune.declaration import option
from lib_sdtune.sentences import phrase

ENDING = (r"[^\s/\\<>:\"|?*]*", phrase("an ending such as .txt, without blanks and slashes"))


@dataclass
class DatasetConfig:
    """How pictures and captions become training examples."""

    resolution: int = option(512, "512 for SD1, 768 for SD2, 1024 for SDXL: the pixels a side of a square picture.",
                             label="Training resolution", low=64, high=4096, unit="px")
    enable_bucket: bool = option(True, "Keep each picture's shape instead of cropping all to squares.",
                                 label="Keep picture shapes (buckets)")
    min_bucket_reso: int = option(256, "Shortest side of a bucket; where it is not set it follows the resolution.",
                                  label="Shortest bucket side", low=8, high=4096, unit="px")
    max_bucket_reso: int = option(1024, "Longest side of a bucket; where it is not set it follows the resolution.",
                                  label="Longest bucket side", low=64, high=8192, unit="px")
    bucket_reso_steps: int = option(
        64, "64 suits every model: bucket sides are multiples of it. Below 8 it works as 8, a latent's size.",
        label="Bucket steps", low=1, high=256, unit="px")
    bucket_no_upscale: bool = option(False, "Never enlarge small pictures; they get smaller buckets.",
                                     label="Never enlarge pictures")
    caption_extension: str = option(".txt", ".txt or .caption; the other one is tried when this one is missing.",
                                    label="Caption file ending", pattern=ENDING)
    shuffle_caption: bool = option(False, "Shuffle comma-separated tags each time, for tag captions.",
                                   label="Shuffle tags")
    keep_tokens: int = option(0, "1 keeps the trigger word in front while tags are shuffled.",
                              label="Keep first tags", low=0, high=255)
    keep_tokens_separator: str = option(
        "", 'Empty, or a sign such as ||| in captions: the tags before the first and behind a second one stay there.',
        label="Separator of kept tags")
    secondary_separator: str = option("", "Empty, or a sign such as ;;; that keeps tags together like one.",
                                      label="Separator within a tag")
    enable_wildcard: bool = option(
        False, "Of {a|b|c} in a caption, and of its file's lines, one is chosen at each showing.",
        label="Wildcards in captions")
    weighted_captions: bool = option(False, "(word:1.2) in a caption counts more, as in a prompt.",
                                     label="Weights in captions")
    caption_prefix: str = option("", "Put in front of every caption, with a blank.", label="Caption prefix")
    caption_suffix: str = option("", "Put behind every caption, with a blank.", label="Caption suffix")
    token_warmup_min: int = option(1, "How many tags are said at first, where tags are warmed up.",
                                   label="Tags at first", low=0, high=255)
    token_warmup_step: float = option(
        0.0, "0, or after how many steps all tags are said; below 1 it is a share of the run.",
        label="Warm-up of tags", low=0, high=10**7)
    max_token_length: int = option(225, "75, 150 or 225: how much of a caption is read; longer ones are cut.",
                                   label="Longest caption", low=75, high=7500, unit="tokens")
    describe: list[str] = option(
        [], "Empty, or words of which the model itself chooses those that fit a picture without a caption, a group a "
            "line: red, green, blue; on snow, on grass.",
        label="Words for pictures without captions")
    trigger_words_rate: float = option(
        0.0, "0, or 0.2: how often a picture is shown under its trigger words alone, so that these bring the subject "
             "by themselves.",
        label="Trigger words alone", low=0, high=1)
    background_aug_rate: float = option(
        0.0, "0, or 0.1: where all plain backgrounds are bright, or all are dark, how often one has a colour of the "
             "other kind, under the trigger words alone.",
        label="Other plain backgrounds", low=0, high=1)
    caption_dropout_rate: float = option(0.0, "0 to 0.1: how often the whole caption is left out.",
                                         label="Caption dropout", low=0, high=1)
    caption_dropout_every_n_epochs: int = option(
        0, "0, or 2 to leave all captions out in every second epoch.",
        label="Epochs without captions", low=0, high=10**6)
    caption_tag_dropout_rate: float = option(0.0, "0 to 0.1: how often each tag is left out.",
                                             label="Tag dropout", low=0, high=1)
    flip_aug: bool = option(False, "Mirror pictures half of the time; not for faces with a parting, or text.",
                            label="Mirror pictures")
    random_crop: bool = option(False, "Crop at random instead of the centre.", label="Random crop")
    alpha_mask: bool = option(False, "Transparent parts of a picture do not count in the loss.",
                              label="Ignore transparent parts")
    masked_loss: bool = option(
        False, "Only where the mask beside a picture (NAME.mask.png) is white does the picture count in the loss.",
        label="Loss by mask files")
    cache_latents: bool = option(True, "Encode every picture once and keep the result on disk.",
                                 label="Cache latents")
    latent_sampling: str = option(
        "random", "random draws a picture's latents anew each time, once draws them once, deterministic takes their "
                  "mean.",
        choices=["random", "once", "deterministic"])


SIDES = {"min_bucket_reso": 4096, "max_bucket_reso": 8192}  # and the longest that each can be


def with_bucket_sides(settings: dict[str, Any], below: dict[str, Any] | None = None) -> dict[str, Any]:
    """Settings of the section that name a resolution, with the bucket sides that they do not name: in the proportion
    that these have in the settings `below`. A resolution by itself would leave squares alone, or none of its size.
    """
    before = vars(DatasetConfig()) | (below or {})
    sides = [key for key in SIDES if key not in settings]
    now, *numbers = settings.get("resolution"), *(before[key] for key in ("resolution", *sides))
    if not all(type(number) in (int, float) and number > 0 for number in (now, *numbers)):
        return settings  # whoever builds the section says what is wrong with them
    return settings | {key: int(min(SIDES[key], max(8, before[key] * now / before["resolution"]))) for key in sides}
