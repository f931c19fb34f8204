"""Settings that are fine one by one and nonsense together; each is refused in one sentence that names the keys."""

from pathlib import PurePath

from lib_sdtune import optim, prompt_lines
from lib_sdtune.errors import refuse_empty, require
from lib_sdtune.formats.names import check_name
from lib_sdtune.optim import schedule
from lib_sdtune.optim.schedules import SCHEDULES
from lib_sdtune.sections.concept import names_template
from lib_sdtune.sections.general import GeneralConfig, rates_of
from lib_sdtune.sentences import phrase, plural

MIN_OWN_RATE = 0.1  # of an optimizer that finds its rate itself; a usual rate such as 1e-4 leaves it standing


def check(config: GeneralConfig) -> None:
    """UserError for the first contradiction in a `Config`; nothing is read from disk."""
    images = {f"concepts[{i}].images": concept.images for i, concept in enumerate(config.concepts)}
    refuse_empty({"name": config.name, **images})
    check_name(config.name)
    for part in (length, noise, timesteps, buckets, learning_rates, class_pictures, method, sizes, samples, validation):
        part(config)


def length(config: GeneralConfig) -> None:
    train = config.train
    require(
        train.max_train_steps or train.max_train_epochs or train.stop == "auto",
        '"train.max_train_steps" and "train.max_train_epochs" are both 0, so nothing would be trained; set one of '
        'them, or "train.stop" to "auto".',
    )
    automatic = train.stop == "auto" and not train.max_train_steps
    if not automatic and not train.max_train_epochs:
        schedule_fits(config, train.max_train_steps, phrase(f'"train.max_train_steps" is {train.max_train_steps}'))
    require(
        not schedule.reads(train.lr_scheduler, "decay") or train.lr_decay_steps,
        f'"train.lr_scheduler" is "{train.lr_scheduler}" and "train.lr_decay_steps" 0, so the rate would never fall; '
        "set it to a fifth of the steps, say.",
    )
    require(
        SCHEDULES[train.lr_scheduler].takes_warmup or not train.lr_warmup_steps,
        f'"train.lr_warmup_steps" is {train.lr_warmup_steps}, and "train.lr_scheduler" "{train.lr_scheduler}" takes '
        'no warm-up; choose "constant_with_warmup", or set it to 0.',
    )


def schedule_fits(config: GeneralConfig, steps: int, length: str = "") -> None:
    """UserError for a warm-up or a decay that a run of that many steps has no room for: of epochs it is known only
    with the pictures. length: the number in words.
    """
    train, length = config.train, length or phrase(f"the run has {plural(steps, 'step')}")
    require(train.lr_warmup_steps < steps,
            f'"train.lr_warmup_steps" is {train.lr_warmup_steps} and {length}: the rate would never be reached; warm '
            "up for fewer steps.")
    decays = schedule.reads(train.lr_scheduler, "decay")
    require(not decays or train.lr_warmup_steps + train.lr_decay_steps <= steps,
            f'"train.lr_decay_steps" is {train.lr_decay_steps}, "train.lr_warmup_steps" is {train.lr_warmup_steps} and '
            f"{length}: the rate would fall before it is reached; take fewer steps for the first two.")


def noise(config: GeneralConfig) -> None:
    settings = config.noise
    require(
        settings.noise_offset or not settings.adaptive_noise_scale,
        f'"noise.adaptive_noise_scale" is {settings.adaptive_noise_scale} and "noise.noise_offset" 0, which it '
        "adds to; set both, or neither.",
    )


def timesteps(config: GeneralConfig) -> None:
    low, high = config.noise.min_timestep, config.noise.max_timestep
    require(
        low < high,
        f'"noise.min_timestep" is {low} and "noise.max_timestep" {high}; the first must be smaller than the second.',
    )


def buckets(config: GeneralConfig) -> None:
    data = config.dataset
    if not data.enable_bucket:
        require(
            data.resolution % 8 == 0,
            f'"dataset.resolution" is {data.resolution}; without "dataset.enable_bucket" it must be a multiple of 8.',
        )
        return
    low, high, steps = data.min_bucket_reso, data.max_bucket_reso, data.bucket_reso_steps
    require(
        low <= high,
        f'"dataset.min_bucket_reso" is {low} and "dataset.max_bucket_reso" {high}; the first must not be greater than '
        "the second.",
    )
    require(
        steps <= high,
        f'"dataset.bucket_reso_steps" is {steps} and "dataset.max_bucket_reso" {high}: no bucket would fit; use '
        "smaller steps.",
    )
    require(
        steps < 8 or steps % 8 == 0,
        f'"dataset.bucket_reso_steps" is {steps}; above 8 it must be a multiple of 8, the size of one latent.'
    )


def learning_rates(config: GeneralConfig) -> None:
    """Every rate of the chosen method can be read and suits the optimizer, and something learns to the end."""
    rates = {f"{config.method}.{key}": rate for key, rate in rates_of(config.settings).items()}
    for key, rate in rates.items():
        schedule.parse(rate, f'"{key}"')
    keys = " and ".join(f'"{key}"' for key in rates)
    require(
        not all(schedule.is_zero(rate) for rate in rates.values()),
        f"{keys} are both 0, so nothing would be trained." if len(rates) > 1 else
        f"{keys} is 0, so nothing would be trained.",
    )
    if optim.finds_rate(config.train.optimizer):
        learning = {key: rate for key, rate in rates.items() if not schedule.is_zero(rate)}
        one_rate_near_1(learning, config.train.optimizer)
    stop = config.train.stop_text_encoder_training
    train = config.train
    require(
        not stop or stop >= train.max_train_steps > 0 == train.max_train_epochs
        or f"{config.method}.unet_lr" not in rates or not schedule.is_zero(config.settings.unet_lr),
        f'"{config.method}.unet_lr" is 0 and "train.stop_text_encoder_training" {stop}, so nothing would learn after '
        f'that; set "train.max_train_steps" to {stop} instead.',
    )


def one_rate_near_1(rates: dict, optimizer: str) -> None:
    for key, rate in rates.items():
        require(
            not schedule.is_text(rate) and float(rate) >= MIN_OWN_RATE,
            f'"{key}" is {rate}, and {optimizer} finds its rate itself: what it is given only scales that, '
            f"and this would stop it. Set it to 1, or choose AdamW.",
        )
    require(
        len({float(rate) for rate in rates.values()}) == 1,
        f"{optimizer} takes one rate for everything, and "
        f"{' and '.join(f'{key!r} is {rate}' for key, rate in rates.items())}"
        "; set both to 1, or one of them to 0.".replace("'", '"'),
    )


def class_pictures(config: GeneralConfig) -> None:
    for i, concept in enumerate(config.concepts):
        where = f"concepts[{i}]"
        require(concept.images.strip(), f'"{where}.images" is empty; give the folder of the training pictures.')
        if config.loss.prior_preservation == "teacher":
            require(
                concept.class_prompt.strip() and not concept.class_images,
                f'"loss.prior_preservation" is "teacher", which needs "{where}.class_prompt" and no '
                f'"{where}.class_images"; '
                'give the first and empty the second, or set it to "pictures".',
            )
        require(
            not is_template(concept.class_prompt),
            f'"{where}.class_prompt" is {concept.class_prompt!r}; class pictures take no template: each says what its '
            'caption file does, and without one the class prompt as it stands. Write what they show, such as "a photo '
            'of a cat".',
        )
        require(concept.class_images or not concept.num_class_images,
                f'"{where}.num_class_images" is {concept.num_class_images} but "{where}.class_images" is empty; '
                "name the folder that keeps them.")
        require(
            not concept.class_images or normalized(concept.images).suffix.lower() != ".toml",
            f'"{where}.class_images" and "{where}.images", a dataset TOML, do not go together: name the class '
            "pictures in the TOML, as a subset with is_reg = true.",
        )
        if not concept.class_images:
            continue
        require(
            concept.class_prompt.strip(),
            f'"{where}.class_images" needs "{where}.class_prompt", what the class pictures show, such as "a photo of '
            'a cat".',
        )
        images, class_images = normalized(concept.images), normalized(concept.class_images)
        require(
            images != class_images and images not in class_images.parents,
            f'"{where}.class_images" lies in "{where}.images", so class pictures would train as the subject; keep '
            "them elsewhere.",
        )


def is_template(prompt: str) -> bool:
    """Whether a prompt has places to fill, or names a file of such lines."""
    return names_template(prompt) or any(placeholder in prompt for placeholder in prompt_lines.PLACEHOLDERS)


def normalized(folder: str) -> PurePath:
    """The path without "." and trailing slashes, for comparing."""
    return PurePath(folder.replace("\\", "/"))


def method(config: GeneralConfig) -> None:
    """What the chosen method's own settings find wrong with each other."""
    config.settings.check(config)


def sizes(config: GeneralConfig) -> None:
    for key in ("width", "height"):
        side = getattr(config.sample, key)
        require(
            side % 8 == 0, f'"sample.{key}" is {side}; it must be a multiple of 8, or 0 for the training resolution.'
        )


def samples(config: GeneralConfig) -> None:
    for line in prompt_lines.spoken(config.sample.prompts):
        prompt_lines.parse(line)


def validation(config: GeneralConfig) -> None:
    settings = config.validation
    require(
        settings.split or settings.images or not settings.every_n_steps or config.train.stop == "auto",
        '"validation.every_n_steps" is set but "validation.split" is 0, so no picture would be kept aside; set the '
        "split to 0.1, say.",
    )
    require(
        not settings.images
        or all(normalized(settings.images) != normalized(concept.images) for concept in config.concepts),
        '"validation.images" is a folder that is trained on; validation needs other pictures.',
    )
