"""What a run does and why, in a line for a person: whether somebody chose it, or nobody did."""

from collections.abc import Sequence

from lib_sdtune.config import Config, rates_of
from lib_sdtune.data.scan import Picture
from lib_sdtune.methods import registry as methods
from lib_sdtune.training import prior
from lib_sdtune.training.describing import groups_of


def recipe(config: Config, pictures: Sequence[Picture], steps: int) -> str:
    """One line. pictures: a scan's; steps: how many the run takes, at most where it ends by itself."""
    subject = [picture for picture in pictures if not picture.is_class]
    parts = what_learns(config), length(config, subject, steps), words(config, subject), of_class(config, pictures)
    return "; ".join(filter(None, parts)) + "."


def what_learns(config: Config) -> str:
    """"LoRA of dim 16 (AdamW, constant; UNet 0.0001, text encoder 5e-05)"."""
    train, section = config.train, config.settings
    size = f" of dim {section.dim}" if hasattr(section, "dim") else ""
    names = {"unet_lr": "UNet ", "text_encoder_lr": "text encoder ", "lr": "rate "}
    rates = [f"{names.get(key, f'{key} ')}{rate}" for key, rate in rates_of(section).items() if rate]
    return f"{methods[config.method].title}{size} ({train.optimizer}, {train.lr_scheduler}; {', '.join(rates)})"


def length(config: Config, subject: Sequence[Picture], steps: int) -> str:
    """"1,500 steps, which show each of 10 pictures 150 times"."""
    train = config.train
    shown = steps * train.batch_size * train.gradient_accumulation_steps
    times = f"each of {len(subject)} pictures about {max(1, round(shown / max(1, len(subject)))):,} times"
    if train.stop != "auto":
        return f"{steps:,} steps, which show {times}"
    aside = bool(config.validation.split or config.validation.images)
    measured = "pictures kept aside" if aside else "the pictures"
    return (f"at most {steps:,} steps, which show {times}, and fewer as soon as the loss of {measured} no longer "
            "improves; the best one is kept")


def words(config: Config, subject: Sequence[Picture]) -> str:
    """Where the captions come from; "" where all pictures have their own."""
    wordless = [picture for picture in subject if picture.caption_from == "prompt"]
    if not wordless:
        return ""
    which = "no picture has a caption" if len(wordless) == len(subject) else f"{len(wordless)} pictures have no caption"
    if groups_of(config.dataset.describe):
        return f"{which}, so the model itself says what should stay changeable in each"
    return f'{which}, so they say "{wordless[0].caption}", and nothing tells the subject from what else they show'


def of_class(config: Config, pictures: Sequence[Picture]) -> str:
    """What keeps the class as it is."""
    prompts = sorted(set(filter(None, prior.taught_prompts(config, pictures))))
    if prompts:
        return f"the untouched model keeps {prior.quoted(prompts)} as it is"
    return "class pictures keep the class as it is" if any(picture.is_class for picture in pictures) else ""
