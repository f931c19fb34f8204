"""What is done to each picture and its caption, declared once: flags, fields and the manifest are read off it."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageColor

from lib_sdtune.data import prompt_syntax, tags
from lib_sdtune.data.expressions import Substitution
from lib_sdtune.declaration import option
from lib_sdtune.errors import UserError

FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}


@dataclass
class PrepareConfig:
    """How pictures are prepared."""

    resize: str = option(
        "bucket", "bucket: the sizes that training uses; square; multiple: only crop, to multiples of 64; none.",
        label="Resize", choices=["bucket", "square", "multiple", "none"])
    resolution: int = option(512, "512 for SD1, 1024 for SDXL: the pixels a side of a square picture.",
                             label="Picture resolution", low=64, high=4096, unit="px")
    min_bucket_reso: int = option(256, "Shortest side of a bucket; where it is not set it follows the resolution.",
                                  label="Shortest side", low=8, high=4096, unit="px")
    max_bucket_reso: int = option(1024, "Longest side of a bucket; where it is not set it follows the resolution.",
                                  label="Longest side", low=64, high=8192, unit="px")
    bucket_reso_steps: int = option(64, "Sides are multiples of it.",
                                    label="Sides in steps of", low=8, high=256, unit="px")
    bucket_no_upscale: bool = option(False, "Never enlarge small pictures.", label="Leave small pictures small")
    crop: str = option("centre", "centre; edges or entropy: where most is to be seen; face: around the largest face.",
                       label="Crop", choices=["centre", "edges", "entropy", "face"])
    split: bool = option(False, "Cut long pictures into overlapping squares instead of losing their ends.",
                         label="Split long pictures")
    split_over: float = option(2.0, "How many times longer than wide a picture is split.",
                               label="Long means longer than", low=1.2, high=100)
    flip: bool = option(False,
                        'Add a mirrored copy of each picture; training can do that itself with "dataset.flip_aug".',
                        label="Add mirrored copies")
    background: str = option("", "Empty keeps it; white, or another colour's name or #rrggbb, paints it.",
                             label="New background")
    cut_out: str = option(
        "alpha", "What is background. alpha: what is transparent; border: the plain colour that reaches in from the "
                 "border; rembg: what that program finds.",
        label="Find the background by", choices=["alpha", "border", "rembg"])
    tolerance: int = option(24, "How far a plain background may vary, of 255.",
                            label="Background tolerance", low=0, high=255)
    alpha: bool = option(False, 'Keep the background transparent in the file, for training with "dataset.alpha_mask".',
                         label="Keep it transparent")
    masks: bool = option(
        False, "Training looks at the subject alone: beside each picture NAME.mask.png is written, white where it is, "
               "and the picture keeps its background.", label="Ignore the background")
    format: str = option("png", "png; jpg and webp are smaller.", label="Save as", choices=list(FORMATS))
    quality: int = option(95, "Of jpg and webp.", low=1, high=100)
    folder: str = option("", "Gather all pictures in one folder of this name, such as kohya's \"10_ron cat\".",
                         label="Gather in a sub-folder")
    prompt: str = option("", "Caption of pictures that have none.", label="Caption where there is none")
    trigger: str = option("", "Put in front of every caption.", label="Word in front of captions")
    add_tags: str = option("", "Put at the end of every caption.")
    remove_tags: str = option("", "Taken out of every caption; * stands for anything.")
    replace: list[str] = option([], "OLD=NEW: tags that are replaced.", label="Replace tags")
    replace_regex: list[str] = option([], "PATTERN=NEW: regular expressions that are replaced in the captions.",
                                      label="Replace by expression")
    sort_tags: bool = option(False, "Tags in alphabetical order (the trigger word stays in front).")
    dedupe_tags: bool = option(False, "Each tag once.", label="Drop repeated tags")
    plain_captions: bool = option(False, "Weights, backslashes before brackets, <lora:...> and BREAK: training reads "
                                         "them as letters.", label="Take out prompt syntax")


def colour(name: str) -> tuple[int, ...]:
    """(red, green, blue), 0 to 255 each. UserError for a name that is no colour."""
    try:
        return ImageColor.getrgb(name.strip())[:3]
    except ValueError:
        raise UserError(f'"background" {name!r} is no colour; write white, or for example #8090a0.') from None


def expressions(settings: PrepareConfig) -> list[Substitution]:
    """The regular expressions of `replace_regex`; what makes one slow counts over all captions that it is used on."""
    parts = [rule.partition("=") for rule in settings.replace_regex]
    return [Substitution(old, new) for old, _, new in parts]


def edited(caption: str, settings: PrepareConfig, expressions: Sequence[Substitution] = ()) -> str:
    """A caption after all edits that the settings ask for; one without words becomes the prompt."""
    caption = caption or settings.prompt
    if settings.plain_captions:
        caption = prompt_syntax.plain(caption)
    for substitute in expressions:
        caption = substitute(caption)
    for rule in settings.replace:
        old, _, new = rule.partition("=")
        caption = tags.replace(caption, old, new)
    if settings.remove_tags:
        caption = tags.remove(caption, settings.remove_tags)
    if settings.add_tags:
        caption = tags.add(caption, settings.add_tags)
    caption = tags.dedupe(caption) if settings.dedupe_tags else caption
    caption = tags.arrange(caption) if settings.sort_tags else caption
    return tags.lead(caption, settings.trigger) if settings.trigger else caption
