"""What a run does and why, in sentences for a person: whether somebody chose it, or nobody did."""

from collections.abc import Sequence

from lib_sdtune.config import Config
from lib_sdtune.contradictions import is_template
from lib_sdtune.data.example import Picture
from lib_sdtune.data.loader import Dataset, none_aside
from lib_sdtune.methods import registry as methods
from lib_sdtune.sections.general import rates_of
from lib_sdtune.sentences import plural
from lib_sdtune.training import prior
from lib_sdtune.training.diffusion_classifier import groups_of

PHRASES = (  # what a method and its rates are called
    "{1} of dim {2}", "UNet {1}, text encoder {2}", "UNet {1}", "text encoder {1}",
    "pictures kept aside", "the pictures", "{1} step", "{1} steps", "{1} time", "{1} times")


def recipe(config: Config, dataset: Dataset) -> str:
    """One line. dataset: what is trained on, for as many steps as the run takes at most."""
    pictures = dataset.pictures
    subject = [picture for picture in pictures if not picture.is_class]
    parts = (what_learns(config), length(config, dataset, subject), words(config, subject), alone(config),
             other_backgrounds(config, dataset), of_class(config, pictures))
    return " ".join(filter(None, parts))


def what_learns(config: Config) -> str:
    """"LoRA of dim 16 learns with AdamW and constant rates: UNet 0.0001, text encoder 5e-05."."""
    train, section = config.train, config.settings
    title = methods[config.method].title
    has_dim = hasattr(section, "dim") and "dim" not in dict(section.ineffective())
    what = f"{title} of dim {section.dim}" if has_dim else title
    names = {"unet_lr": "UNet ", "text_encoder_lr": "text encoder ", "lr": ""}
    rates = ", ".join(f"{names.get(key, f'{key} ')}{plainly(rate)}" for key, rate in rates_of(section).items() if rate)
    return f"Recipe: {what} learns with {train.optimizer} and the schedule {train.lr_scheduler} ({rates})."


def plainly(rate: float | str) -> str:
    """A rate without the noise of computed ones; a schedule as it is written."""
    return rate if isinstance(rate, str) else f"{rate:g}"


def length(config: Config, dataset: Dataset, subject: Sequence[Picture]) -> str:
    """"1,500 steps with 10 pictures: each is shown about 150 times."."""
    epochs = dataset.total_steps / max(1, dataset.steps_per_epoch)
    times = max(1, round(epochs * sum(picture.repeats for picture in subject) / max(1, len(subject))))
    steps, pictures = plural(dataset.total_steps, "step"), plural(len(subject), "picture")
    if config.train.stop != "auto":
        return f"{steps} with {pictures}: each is shown about {plural(times, 'time')}."
    split = config.validation.split
    aside = bool(config.validation.images or split and not none_aside(dataset.scan.pictures, split))
    measured = "pictures kept aside" if aside else "the pictures"
    return (f"At most {steps} with {pictures}: each is shown about {plural(times, 'time')}; it ends as soon as the "
            f"loss of {measured} no longer improves, and keeps the best file.")


def words(config: Config, subject: Sequence[Picture]) -> str:
    """Where the captions come from; "" where all pictures have their own."""
    wordless = [picture for picture in subject if picture.caption_from == "prompt"]
    if not wordless:
        return ""
    describes = bool(groups_of(config.dataset.describe))
    caption = wordless[0].caption
    if len(wordless) == len(subject) and describes:
        return "No picture has a caption, so the model itself says what should stay changeable in each."
    if len(wordless) == len(subject):
        return (f'No picture has a caption, so all say "{caption}", and nothing tells the subject from what else they '
                "show.")
    if describes:
        return (f"Pictures without a caption: {len(wordless)}; the model itself says what should stay changeable in "
                "each.")
    return (f'Pictures without a caption: {len(wordless)}; said of them is "{caption}", and nothing tells the subject '
            "from what else they show.")


def alone(config: Config) -> str:
    """How often the trigger words are said by themselves; "" where they never are, or a template says them."""
    rate = config.dataset.trigger_words_rate
    plain = [concept for concept in config.concepts if concept.prompt.strip() and not is_template(concept.prompt)]
    if not rate or not plain:
        return ""
    return (f"At {round(100 * rate)} % of the showings the trigger words stand alone, so that they bring the subject "
            "by themselves.")


def other_backgrounds(config: Config, dataset: Dataset) -> str:
    """How often a plain background is another, and why; "" where every picture keeps its own."""
    share = round(100 * config.dataset.background_aug_rate)
    if len({background for picture in dataset.pictures for background in dataset.backgrounds(picture)}) < 2:
        return ""
    if dataset.other_backgrounds.dark:
        return f"All plain backgrounds are bright, so at {share} % of the showings one is dark."
    return f"All plain backgrounds are dark, so at {share} % of the showings one is bright."


def of_class(config: Config, pictures: Sequence[Picture]) -> str:
    """What keeps the class as it is; "" where nothing does."""
    if not config.loss.prior_loss_weight:
        return ""
    prompts = sorted(set(filter(None, prior.taught_prompts(config, pictures))))
    if prompts:
        return f"The untouched model keeps {prior.quoted(prompts)} as it is."
    return "Class pictures keep the class as it is." if any(picture.is_class for picture in pictures) else ""
