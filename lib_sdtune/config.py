"""What a run is told: every setting with its default, its limits and its advice, declared once.

JSON, the command line's `--set`, the tab's fields, the API's schema and the README's table are all read off these
classes (`lib_sdtune.declaration`). What one method alone needs is declared beside that method. Names are sd-scripts'
where it has one, because its users know them.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import asdict, dataclass, field, fields, make_dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar

from lib_sdtune.declaration import Auto, Weighted, build, option, section


def registered(kind: str) -> Callable[[], list[str]]:
    """Choices that are looked up late, so that declaring settings imports no plug-in."""

    def names():
        from importlib import import_module

        return import_module(f"lib_sdtune.{kind}").registry.names()

    return names


@dataclass
class Model:
    """Which checkpoint is trained."""

    checkpoint: str = option(
        "", "Empty trains the checkpoint that is loaded; otherwise the name or file of another one.",
        label="Checkpoint")
    clip_skip: int = option(1, "1 for most models, 2 for anime models trained that way.",
                            label="Training clip skip", low=1, high=12)
    prediction_type: str = option("auto", "auto believes the checkpoint; else what its maker says it predicts.",
                                  label="Prediction type", choices=["auto", "epsilon", "v_prediction"])
    base_loras: list[Weighted] = option(
        [], "LoRAs that stay on the model while it trains and are not in the result, one a line: a name, or name:0.8.",
        label="Train on top of LoRAs")


@dataclass
class Concept:
    """One subject or style: its pictures, their captions, and the class it belongs to."""

    FOLDERS: ClassVar[tuple[str, ...]] = ("images", "conditioning_data_dir", "class_images")

    images: str = field(metadata={"help": "the folder of the training pictures.", "label": "Pictures"})
    repeats: int | None = option(None, "Empty takes the number in front of the folder's name (10_ron), else 1.",
                                 label="Repeats", low=1, high=100000)
    prompt: str = option(
        "", 'Caption of pictures that have none, such as "a photo of ron cat"; or a template such as subject.txt.',
        label="Trigger words")
    conditioning_data_dir: str = option(
        "", "Folder of the masks, each called like its picture; masks beside the pictures need none.",
        label="Mask pictures")
    class_images: str = option("", "Folder of class (regularisation) pictures: the class without your subject.",
                               label="Class pictures")
    class_prompt: str = option("", 'Caption of the class pictures, such as "a photo of a cat".', label="Class prompt")
    num_class_images: int = option(0, "Missing class pictures are generated until there are this many.",
                                   label="Number of class pictures", low=0, high=100000)


@dataclass
class DatasetConfig:
    """How pictures and captions become training examples."""

    resolution: int = option(512, "512 for SD1, 768 for SD2, 1024 for SDXL: the pixels a side of a square picture.",
                             label="Training resolution", low=64, high=4096, unit="px")
    enable_bucket: bool = option(True, "Keep each picture's shape instead of cropping all to squares.",
                                 label="Keep picture shapes (buckets)")
    min_bucket_reso: int = option(256, "Shortest side of a bucket.",
                                  label="Shortest bucket side", low=8, high=4096, unit="px")
    max_bucket_reso: int = option(1024, "Longest side of a bucket.",
                                  label="Longest bucket side", low=64, high=8192, unit="px")
    bucket_reso_steps: int = option(
        64, "64 suits every model: bucket sides are multiples of it. Below 8 it works as 8, a latent's size.",
        label="Bucket steps", low=1, high=256, unit="px")
    bucket_no_upscale: bool = option(False, "Never enlarge small pictures; they get smaller buckets.",
                                     label="Never enlarge pictures")
    caption_extension: str = option(".txt", ".txt or .caption; the other one is tried when this one is missing.",
                                    label="Caption file ending")
    shuffle_caption: bool = option(False, "Shuffle comma-separated tags each time, for tag captions.",
                                   label="Shuffle tags")
    keep_tokens: int = option(0, "1 keeps the trigger word in front while tags are shuffled.",
                              label="Keep first tags", low=0, high=255)
    keep_tokens_separator: str = option(
        "", 'Empty, or a sign such as ||| in captions: the tags before the first and behind a second one stay there.',
        label="Separator of kept tags")
    secondary_separator: str = option("", "Empty, or a sign such as ;;; that keeps tags together like one.",
                                      label="Separator within a tag")
    enable_wildcard: bool = option(False, "Of {a|b|c} in a caption, and of its file's lines, one is chosen at each showing.",
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


@dataclass
class TrainConfig:
    """How long and how fast."""

    seed: int = option(42, "The same seed and settings give the same file.",
                       label="Training seed", low=0, high=2**63 - 1)
    max_train_steps: int = option(1500, "1000 to 2000 for a subject; 0 counts epochs instead.",
                                  label="Steps", low=0, high=10**7, unit="steps")
    max_train_epochs: int = option(
        0, "Overrides the steps when it is not 0: how often every picture is seen (times its repeats).",
        label="Epochs", low=0, high=10**6)
    stop: str = option(
        "steps", "steps: after the steps or epochs that are set; auto: as soon as the measured loss no longer improves, "
                 "and after those at the latest.",
        label="End", choices=["steps", "auto"])
    batch_size: int = option(1, "1 on 8 GB, 2 to 4 on more.", low=1, high=1024)
    gradient_accumulation_steps: int = option(1, "1; more imitates a larger batch without its memory: every picture counts the same.",
                                              label="Gradient accumulation", low=1, high=1024)
    optimizer: str = option("AdamW", "AdamW; Lion wants a third of its rate; Prodigy wants rate 1.",
                            choices=registered("optim"))
    optimizer_args: dict = option({}, 'Extra arguments for the optimizer, such as {"weight_decay": 0.01}.')
    lr_scheduler: str = option("constant_with_warmup", "constant_with_warmup or cosine.",
                               label="Learning rate schedule",
                               choices=["constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts",
                                        "polynomial", "cosine_with_min_lr", "warmup_stable_decay", "inverse_sqrt",
                                        "rex"])
    lr_warmup_steps: int = option(0, "0 to a tenth of the steps.", label="Warm-up", low=0, high=10**7, unit="steps")
    lr_scheduler_num_cycles: int = option(1, "1; how often cosine_with_restarts restarts.",
                                          label="Restarts", low=1, high=1000)
    lr_scheduler_power: float = option(1.0, "1 falls evenly; how polynomial falls, 2 faster at first.",
                                       label="Power of polynomial", above=0, high=100)
    lr_scheduler_min_lr_ratio: float = option(
        0.0, "0, or 0.1: where cosine_with_min_lr and warmup_stable_decay end, as a share of the rate.",
        label="Lowest share of the rate", low=0, high=1)
    lr_decay_steps: int = option(0, "A fifth of the steps, say: for how many at the end warmup_stable_decay falls.",
                                 label="Decay", low=0, high=10**7, unit="steps")
    lr_scheduler_timescale: int = option(0, "0 takes the warm-up: how slowly inverse_sqrt falls.",
                                         label="Time scale of inverse_sqrt", low=0, high=10**7, unit="steps")
    max_grad_norm: float = option(1.0, "1: longer gradients are shortened to this; 0 never does.",
                                  label="Gradient clipping", low=0, high=1e6)
    mixed_precision: str = option("auto", "auto picks what the device does well.",
                                  choices=["auto", "no", "fp16", "bf16"])
    gradient_checkpointing: str = option("auto", "auto saves memory where a step would not fit.",
                                         choices=["auto", "on", "off"])
    cuda_graphs: bool = option(
        False, "Record a step's kernels once and let the GPU replay them: faster on fast NVIDIA GPUs, and more memory.",
        label="CUDA graphs")
    stop_text_encoder_training: int = option(
        0, "0 trains the text encoder to the end; otherwise it stops at this step.",
        label="Stop text encoder at step", low=0, high=10**7, unit="steps")


@dataclass
class NoiseConfig:
    """The noise that is added to the pictures."""

    noise_offset: float = option(0.0, "0, or 0.05 for darker and brighter pictures.", low=0, high=1)
    noise_offset_random_strength: bool = option(
        False, "Draw the offset's strength anew for each picture, from 0 up to the noise offset.",
        label="Random noise offset")
    adaptive_noise_scale: float = option(
        0.0, "0, or 0.005: adds this much of each picture's own brightness to the noise offset.",
        label="Adaptive noise scale", low=-1, high=1)
    multires_noise_iterations: int = option(0, "0, or 6 for multi-resolution noise.",
                                            label="Multi-resolution noise", low=0, high=10)
    multires_noise_discount: float = option(0.3, "0.3, or 0.1 to 0.8: how strong each coarser octave is.",
                                            label="Multi-resolution discount", low=0, high=1)
    ip_noise_gamma: float = option(0.0, "0, or 0.1: perturbs the noisy latents (arXiv 2301.11706).",
                                   label="Input perturbation", low=0, high=1)
    ip_noise_gamma_random_strength: bool = option(
        False, "Draw the perturbation's strength anew for each picture.", label="Random input perturbation")
    min_timestep: int = option(0, "0 trains from the finest timestep.", label="Lowest timestep", low=0, high=999)
    max_timestep: int = option(1000, "1000 trains up to pure noise.", label="Highest timestep", low=1, high=1000)
    timestep_sampling: str = option(
        "uniform", "uniform: every timestep as often as another; logit_normal: those in the middle more often; loss: "
                   "those with the largest loss more often, and each counts less.",
        label="Timestep sampling", choices=["uniform", "logit_normal", "loss"])
    logit_mean: float = option(0.0, "0 for the middle; above it noisier timesteps, below it finer ones.",
                               label="Centre of logit_normal", low=-10, high=10)
    logit_std: float = option(1.0, "1: how far around the centre timesteps are drawn.",
                              label="Width of logit_normal", above=0, high=10)
    zero_terminal_snr: bool = option(False, "For v-prediction models made with it (arXiv 2305.08891), no others.",
                                     label="Zero terminal SNR")


@dataclass
class LossConfig:
    """What counts as wrong."""

    prior_loss_weight: float = option(1.0, "1: how much class pictures count.",
                                      label="Weight of class pictures", low=0, high=100)
    prior_preservation: str = option(
        "auto", "auto takes class pictures where there are any, else the teacher; teacher needs none: the untouched "
                "model says what the class is; pictures does without it.",
        choices=["auto", "pictures", "teacher"])
    teacher_every_n_examples: int = option(
        4, "4: the teacher is asked about every fourth example, which counts four times. 1 takes longest.",
        label="Teacher, every N examples", low=1, high=1000)
    min_snr_gamma: float = option(0.0, "0, or 5 to learn evenly over the timesteps (arXiv 2303.09556).",
                                  label="Min-SNR gamma", low=0, high=100)
    loss_type: str = option("l2", "l2; huber or smooth_l1 forgive single bad pictures.",
                            choices=["l2", "l1", "huber", "smooth_l1"])
    huber_c: float = option(0.1, "0.1: from what error on huber and smooth_l1 forgive, at pure noise.",
                            label="Huber threshold", above=0, high=1)
    huber_schedule: str = option("snr", "snr forgives more where there is much noise; exponential; constant.",
                                 label="Huber schedule", choices=["snr", "exponential", "constant"])
    huber_scale: float = option(1.0, "1: multiplies the threshold; snr does without.",
                                label="Huber scale", above=0, high=100)
    v_pred_like_loss: float = option(0.0, "0, or 0.1: noise-predicting models alone, adds a loss like v-prediction's.",
                                     label="Loss like v-prediction", low=0, high=100)
    scale_v_pred_loss_like_noise_pred: bool = option(
        False, "For v-prediction models alone: weighs timesteps as noise prediction does.",
        label="Weigh v-prediction like noise prediction")
    normalize_masked_area_loss: bool = option(
        False, "With masks: every picture counts the same, however little of it is seen; else every visible part does.",
        label="Equal weight for masked pictures")
    debiased_estimation: bool = option(False, "Weights by 1 / sqrt(SNR) (arXiv 2310.08442).")


@dataclass
class SaveConfig:
    """When files are written."""

    every_n_epochs: int = option(0, "1 keeps every epoch so that you can choose.",
                                 label="Save every so many epochs", low=0, high=10**6, unit="epochs")
    every_n_steps: int = option(0, "0, or a number of steps.",
                                label="Save every so many steps", low=0, high=10**7, unit="steps")
    keep_last: int = option(0, "0 keeps all of them.", label="Keep only the last", low=0, high=10**6)
    precision: str = option("fp16", "fp16 is enough for generating.",
                            label="File precision", choices=["fp16", "bf16", "float"])
    state_every_n_steps: int = option(100, "100: how much is lost when the power fails.",
                                      label="Resume point every so many steps", low=0, high=10**7, unit="steps")


@dataclass
class SampleConfig:
    """Pictures made while training."""

    every_n_epochs: int = option(0, "1 shows how each epoch does.",
                                 label="Sample every so many epochs", low=0, high=10**6, unit="epochs")
    every_n_steps: Auto = option(
        "auto", "auto: before the first step and at every tenth of the run, fewer where that would take more than 15 % "
                "of the time. 0: none; or a number of steps.",
        label="Sample every so many steps", low=0, high=10**7, unit="steps")
    prompts: list[str] = option(
        [], "Empty takes trigger words and a caption; else one prompt a line. --n --w --h --d --l --s behind it set "
            "negative prompt, size, seed, CFG and steps.",
        label="Sample prompts")
    steps: int = option(20, "20 sampling steps.", label="Steps of a sample", low=1, high=150)
    cfg_scale: float = option(7.0, "7: how strictly the prompt is followed.",
                              label="Sample CFG scale", low=1, high=30)
    seed: int = option(1, "A fixed seed makes samples comparable.", label="Sample seed", low=0, high=2**32 - 1)
    width: int = option(0, "0 takes the training resolution.", label="Sample width", low=0, high=4096, unit="px")
    height: int = option(0, "0 takes the training resolution.", label="Sample height", low=0, high=4096, unit="px")


@dataclass
class ValidationConfig:
    """Pictures kept aside to notice overfitting."""

    split: float = option(0.0, "0, or 0.1 to keep a tenth of the pictures aside.",
                          label="Validation share", low=0, high=0.9)
    images: str = option("", "Or a folder of pictures that are only measured, with captions like the others.",
                         label="Validation pictures")
    every_n_steps: int = option(0, "0 measures at every epoch's end.",
                                label="Validate every so many steps", low=0, high=10**7, unit="steps")


@dataclass
class GeneralConfig:
    """The settings of every run, whatever its method."""

    name: str = field(metadata={"help": "what the run and its file are called.", "label": "Name"})
    concepts: list[Concept] = field(metadata={"help": "one or more groups of pictures, each with \"images\"."})
    method: str = option("lora", "lora for most.", choices=registered("methods"))
    overwrite: bool = option(False, "Replace an existing file of that name.", label="Replace a file of that name")
    model: Model = section(Model, "Model")
    dataset: DatasetConfig = section(DatasetConfig, "Pictures and captions")
    train: TrainConfig = section(TrainConfig, "Training")
    noise: NoiseConfig = section(NoiseConfig, "Noise")
    loss: LossConfig = section(LossConfig, "Loss")
    save: SaveConfig = section(SaveConfig, "Saving")
    sample: SampleConfig = section(SampleConfig, "Samples")
    validation: ValidationConfig = section(ValidationConfig, "Validation")


class BaseConfig:
    """One run."""

    @classmethod
    def from_dict(cls, data: Any, defaults: dict | None = None) -> "Config":
        """A checked config; UserError in one sentence for the first thing that is wrong.

        `defaults` (nested, as `data`) suit the host's model better than the general ones; what `data` says goes first.
        """
        from lib_sdtune.contradictions import check
        from lib_sdtune.formats.plain_data import check_bounds

        check_bounds(data, "config")
        config = build(cls, overlaid(data, defaults or {}))
        suit_optimizer(config, data)
        check(config)
        return config

    def to_dict(self) -> dict[str, Any]:
        """Complete, as `config.json` of the run folder keeps it."""
        return asdict(self)

    @property
    def settings(self) -> Any:
        """The section of the chosen method (`config.lora`, …)."""
        return getattr(self, self.method)

    @property
    def word(self) -> str:
        """What [name] stands for in prompt templates: the word that is taught, where the method teaches one
        ("token").
        """
        return getattr(self.settings, "token", "") or self.name


def overlaid(data: Any, defaults: Any) -> Any:
    """`defaults` with `data` laid over them, group by group; lists are taken whole."""
    if not (isinstance(data, dict) and isinstance(defaults, dict)):
        return data
    return {**defaults, **{key: overlaid(value, defaults.get(key)) for key, value in data.items()}}


def suit_optimizer(config: "Config", data: dict) -> None:
    """Rate 1 for what learns, where `data` says nothing else and the optimizer finds its rate itself."""
    from lib_sdtune import optim

    if optim.finds_rate(config.train.optimizer):
        for key, rate in rates_of(config.settings).items():
            if key not in data.get(config.method, {}) and rate:
                setattr(config.settings, key, 1.0)


def rates_of(settings: Any) -> dict[str, Any]:
    """The learning rates of a method's section: what is called "lr", or ends in "_lr"."""
    return {key: rate for key, rate in vars(settings).items() if key == "lr" or key.endswith("_lr")}


def compose() -> type:
    """`Config`: `GeneralConfig` with the section of every method, `config.lora` and so on, behind "dataset"."""
    from lib_sdtune.methods import in_order

    methods = [(method.name, method.Settings, section(method.Settings, method.title)) for method in in_order()]
    general = [(each.name, each.type, copy(each)) for each in fields(GeneralConfig)]
    place = [name for name, _, _ in general].index("train")
    return make_dataclass("Config", [*general[:place], *methods, *general[place:]], bases=(BaseConfig,),
                          namespace={"__doc__": BaseConfig.__doc__, "__module__": __name__})


if TYPE_CHECKING:

    class Config(GeneralConfig, BaseConfig):
        """As `compose` makes it."""

        def __getattr__(self, section: str) -> Any: ...


_composing = RLock()


def __getattr__(name: str) -> Any:
    """`Config` is composed when it is first asked for: the methods import torch, and declaring settings must not."""
    if name != "Config":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _composing:
        if "Config" not in globals():
            globals()["Config"] = compose()
    return globals()["Config"]
