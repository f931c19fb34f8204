"""What a run is told: every setting with its default, its limits and its advice, declared once.

JSON, the command line's `--set`, the tab's fields, the API's schema and the README's table are all read off these
classes (`lib_sdtune.declaration`). Names are sd-scripts' where it has one, because its users know them.
"""

from dataclasses import asdict, dataclass, field

from lib_sdtune.declaration import Rate, build, option, section


def registered(kind):
    """Choices that are looked up late, so that declaring settings imports no plug-in."""

    def names():
        from importlib import import_module

        return import_module(f"lib_sdtune.{kind}").registry.names()

    return names


def hypernetwork_words(kind):
    """Choices of the hypernetwork's own, looked up late likewise."""

    def words():
        from lib_sdtune.networks import hypernetwork

        return list(getattr(hypernetwork, kind))

    return words


@dataclass
class Model:
    """Which checkpoint is trained."""

    checkpoint: str = option("", "Empty trains the checkpoint that is loaded; otherwise the name or file of another one.")
    clip_skip: int = option(1, "1 for most models, 2 for anime models trained that way.", low=1, high=12)


@dataclass
class Concept:
    """One subject or style: its pictures, their captions, and the class it belongs to."""

    images: str = field(metadata={"help": "the folder of the training pictures."})
    repeats: int | None = option(None, "Empty takes the number in front of the folder's name (10_ron), else 1.", low=1, high=100000)
    prompt: str = option("", "Caption of pictures that have none, such as \"a photo of ron cat\"; or a template such as subject.txt.")
    class_images: str = option("", "Folder of class (regularisation) pictures: the class without your subject.")
    class_prompt: str = option("", "Caption of the class pictures, such as \"a photo of a cat\".")
    num_class_images: int = option(0, "Missing class pictures are generated until there are this many.", low=0, high=100000)


@dataclass
class DatasetConfig:
    """How pictures and captions become training examples."""

    resolution: int = option(512, "512 for SD1, 768 for SD2, 1024 for SDXL: the pixels a side of a square picture.", low=64, high=4096, unit="px")
    enable_bucket: bool = option(True, "Keep each picture's shape instead of cropping all to squares.")
    min_bucket_reso: int = option(256, "Shortest side of a bucket.", low=8, high=4096, unit="px")
    max_bucket_reso: int = option(1024, "Longest side of a bucket.", low=64, high=8192, unit="px")
    bucket_reso_steps: int = option(64, "64 suits every model: bucket sides are multiples of it.", low=8, high=256, unit="px")
    bucket_no_upscale: bool = option(False, "Never enlarge small pictures; they get smaller buckets.")
    caption_extension: str = option(".txt", ".txt or .caption; the other one is tried when this one is missing.")
    shuffle_caption: bool = option(False, "Shuffle comma-separated tags each time, for tag captions.")
    keep_tokens: int = option(0, "1 keeps the trigger word in front while tags are shuffled.", low=0, high=255)
    caption_dropout_rate: float = option(0.0, "0 to 0.1: how often the whole caption is left out.", low=0, high=1)
    caption_tag_dropout_rate: float = option(0.0, "0 to 0.1: how often each tag is left out.", low=0, high=1)
    flip_aug: bool = option(False, "Mirror pictures half of the time; not for faces with a parting, or text.")
    random_crop: bool = option(False, "Crop at random instead of the centre.")
    alpha_mask: bool = option(False, "Transparent parts of a picture do not count in the loss.")
    cache_latents: bool = option(True, "Encode every picture once and keep the result on disk.")
    latent_sampling: str = option("random", "random draws a picture's latents anew each time, once draws them once, deterministic takes their mean.",
                                  choices=["random", "once", "deterministic"])


@dataclass
class LoraConfig:
    """A LoRA or one of its relatives."""

    network: str = option("lora", "lora suits nearly everything.", choices=registered("networks"))
    dim: int = option(16, "8 to 16 for a subject, 32 and more for a style (also called rank).", low=1, high=1024)
    alpha: float = option(8.0, "Half of dim: the strength is alpha / dim.", above=0, high=4096)
    conv_dim: int = option(0, "0 leaves the 3x3 convolutions alone; 4 to 8 trains them too (LoCon).", low=0, high=1024)
    conv_alpha: float = option(1.0, "As alpha, for the convolutions.", above=0, high=4096)
    unet_lr: Rate = option(1e-4, "1e-4: how fast the UNet part learns. 0 leaves it out.", low=0, high=10)
    text_encoder_lr: Rate = option(5e-5, "5e-5: how fast the text encoder part learns. 0 leaves it out.", low=0, high=10)


@dataclass
class DreamBoothConfig:
    """Training the model itself."""

    unet_lr: Rate = option(2e-6, "2e-6: how fast the UNet learns.", low=0, high=10)
    text_encoder_lr: Rate = option(0.0, "0 leaves the text encoder alone; 1e-6 trains it too.", low=0, high=10)
    weights: str = option("auto", "auto keeps float32 copies of half-precision weights where the GPU has room; bfloat16 needs half of the memory.",
                          choices=["auto", "float32", "bfloat16"])
    ema_decay: float = option(0.0, "0, or 0.999: saves a running average of the weights, kept in the computer's memory.", low=0, high=0.99999)
    lora_dim: int = option(0, "0, or 32 to 128: also writes what was learned as a LoRA of that rank.", low=0, high=1024)


@dataclass
class TextualInversionConfig:
    """A new word (embedding)."""

    token: str = option("", "Empty takes the run's name, which is what you type in a prompt; otherwise the word of your captions that it stands for.")
    init_text: str = option("*", "A word that is near to your subject, such as \"cat\".")
    init_embedding: str = option("", "Empty starts from the text above; otherwise the embedding to go on from, by its name in the embeddings folder.")
    num_vectors_per_token: int = option(1, "1 to 4 for a subject, 4 to 8 for a style.", low=1, high=75)
    lr: Rate = option(5e-3, "5e-3, or a schedule such as 5e-3:200, 1e-3:500, 1e-4.", low=0, high=10)
    preserve_norm: bool = option(False, "Keep the vectors as long as those of ordinary words; they mix better with other words.")
    save_model_as: str = option("safetensors", "safetensors; pt for old programs.", choices=["safetensors", "pt"])


@dataclass
class HypernetworkConfig:
    """A hypernetwork."""

    layer_structure: list[float] = option([1, 2, 1], "1, 2, 1: layer widths as multiples; the first and the last are 1.", above=0, high=16)
    activation: str = option("linear", "linear, or swish and the like for deeper structures.", choices=hypernetwork_words("ACTIVATIONS"))
    activate_output: bool = option(False, "Activate the last layer too.")
    use_layer_norm: bool = option(False, "Normalise between layers.")
    dropout: bool = option(False, "Leave out values at random while training.")
    dropout_structure: list[float] = option([], "Empty leaves out 0.3 after each hidden layer; otherwise a share per layer, first and last 0.",
                                            low=0, high=0.99)
    weight_init: str = option("Normal", "Normal; Xavier or Kaiming for relu-like activations.", choices=hypernetwork_words("WEIGHT_INITS"))
    enable_sizes: list[int] = option([], "Empty takes every context width of the model; 768 alone leaves SD1's self-attention as it is.", low=1, high=65536)
    init_hypernetwork: str = option("", "Empty starts anew; otherwise the hypernetwork to go on from, by its name. Its own structure counts then.")
    lr: Rate = option(1e-5, "1e-5, or a schedule such as 5e-5:1000, 1e-5.", low=0, high=10)


@dataclass
class TrainConfig:
    """How long and how fast."""

    seed: int = option(42, "The same seed and settings give the same file.", low=0, high=2**63 - 1)
    max_train_steps: int = option(1500, "1000 to 2000 for a subject; 0 counts epochs instead.", low=0, high=10**7, unit="steps")
    max_train_epochs: int = option(0, "Overrides the steps when it is not 0: how often every picture is seen (times its repeats).", low=0, high=10**6)
    batch_size: int = option(1, "1 on 8 GB, 2 to 4 on more.", low=1, high=1024)
    gradient_accumulation_steps: int = option(1, "1; more imitates a larger batch without its memory.", low=1, high=1024)
    optimizer: str = option("AdamW", "AdamW; Lion wants a third of its rate; Prodigy wants rate 1.", choices=registered("optim"))
    optimizer_args: dict = option({}, "Extra arguments for the optimizer, such as {\"weight_decay\": 0.01}.")
    lr_scheduler: str = option("constant_with_warmup", "constant_with_warmup or cosine.",
                               choices=["constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial"])
    lr_warmup_steps: int = option(0, "0 to a tenth of the steps.", low=0, high=10**7, unit="steps")
    lr_scheduler_num_cycles: int = option(1, "1; how often cosine_with_restarts restarts.", low=1, high=1000)
    max_grad_norm: float = option(1.0, "1: longer gradients are shortened to this; 0 never does.", low=0, high=1e6)
    mixed_precision: str = option("auto", "auto picks what the device does well.", choices=["auto", "no", "fp16", "bf16"])
    gradient_checkpointing: str = option("auto", "auto saves memory where memory is short.", choices=["auto", "on", "off"])
    stop_text_encoder_training: int = option(0, "0 trains the text encoder to the end; otherwise it stops at this step.", low=0, high=10**7, unit="steps")


@dataclass
class NoiseConfig:
    """The noise that is added to the pictures."""

    noise_offset: float = option(0.0, "0, or 0.05 for darker and brighter pictures.", low=0, high=1)
    multires_noise_iterations: int = option(0, "0, or 6 for multi-resolution noise.", low=0, high=10)
    ip_noise_gamma: float = option(0.0, "0, or 0.1: perturbs the noisy latents (arXiv 2301.11706).", low=0, high=1)
    min_timestep: int = option(0, "0 trains from the finest timestep.", low=0, high=999)
    max_timestep: int = option(1000, "1000 trains up to pure noise.", low=1, high=1000)
    zero_terminal_snr: bool = option(False, "For v-prediction models made with it (arXiv 2305.08891).")


@dataclass
class LossConfig:
    """What counts as wrong."""

    prior_loss_weight: float = option(1.0, "1: how much class pictures count.", low=0, high=100)
    prior_preservation: str = option("pictures", "pictures of the class keep it as it is; teacher needs none: the untouched model says what the class is.",
                                     choices=["pictures", "teacher"])
    min_snr_gamma: float = option(0.0, "0, or 5 to learn evenly over the timesteps (arXiv 2303.09556).", low=0, high=100)
    loss_type: str = option("l2", "l2; huber or smooth_l1 forgive single bad pictures.", choices=["l2", "l1", "huber", "smooth_l1"])
    debiased_estimation: bool = option(False, "Weights by 1 / sqrt(SNR) (arXiv 2310.08442).")


@dataclass
class SaveConfig:
    """When files are written."""

    every_n_epochs: int = option(0, "1 keeps every epoch so that you can choose.", low=0, high=10**6, unit="epochs")
    every_n_steps: int = option(0, "0, or a number of steps.", low=0, high=10**7, unit="steps")
    keep_last: int = option(0, "0 keeps all of them.", low=0, high=10**6)
    precision: str = option("fp16", "fp16 is enough for generating.", choices=["fp16", "bf16", "float"])
    state_every_n_steps: int = option(100, "100: how much is lost when the power fails.", low=0, high=10**7, unit="steps")


@dataclass
class SampleConfig:
    """Pictures made while training."""

    every_n_epochs: int = option(0, "1 shows how each epoch does.", low=0, high=10**6, unit="epochs")
    every_n_steps: int = option(0, "0, or a number of steps.", low=0, high=10**7, unit="steps")
    prompts: list[str] = option([], "One prompt a line, with your trigger word; --n --w --h --d --l --s behind it set negative prompt, size, seed, CFG and steps.")
    steps: int = option(20, "20 sampling steps.", low=1, high=150)
    cfg_scale: float = option(7.0, "7: how strictly the prompt is followed.", low=1, high=30)
    seed: int = option(1, "A fixed seed makes samples comparable.", low=0, high=2**32 - 1)
    width: int = option(0, "0 takes the training resolution.", low=0, high=4096, unit="px")
    height: int = option(0, "0 takes the training resolution.", low=0, high=4096, unit="px")


@dataclass
class ValidationConfig:
    """Pictures kept aside to notice overfitting."""

    split: float = option(0.0, "0, or 0.1 to keep a tenth of the pictures aside.", low=0, high=0.9)
    images: str = option("", "Or a folder of pictures that are only measured, with captions like the others.")
    every_n_steps: int = option(0, "0 measures at every epoch's end.", low=0, high=10**7, unit="steps")


@dataclass
class Config:
    """One run."""

    name: str = field(metadata={"help": "what the run and its file are called."})
    concepts: list[Concept] = field(metadata={"help": "one or more groups of pictures, each with \"images\"."})
    method: str = option("lora", "lora for most.", choices=registered("methods"))
    overwrite: bool = option(False, "Replace an existing file of that name.")
    model: Model = section(Model, "Which checkpoint is trained.")
    dataset: DatasetConfig = section(DatasetConfig, "Pictures and captions.")
    lora: LoraConfig = section(LoraConfig, "LoRA.")
    dreambooth: DreamBoothConfig = section(DreamBoothConfig, "DreamBooth.")
    textual_inversion: TextualInversionConfig = section(TextualInversionConfig, "Embedding.")
    hypernetwork: HypernetworkConfig = section(HypernetworkConfig, "Hypernetwork.")
    train: TrainConfig = section(TrainConfig, "Training.")
    noise: NoiseConfig = section(NoiseConfig, "Noise.")
    loss: LossConfig = section(LossConfig, "Loss.")
    save: SaveConfig = section(SaveConfig, "Saving.")
    sample: SampleConfig = section(SampleConfig, "Samples.")
    validation: ValidationConfig = section(ValidationConfig, "Validation.")

    @classmethod
    def from_dict(cls, data, defaults=None):
        """A checked config; UserError in one sentence for the first thing that is wrong.

        `defaults` (nested, as `data`) suit the host's model better than the general ones; what `data` says goes first.
        """
        from lib_sdtune.contradictions import check

        config = build(cls, overlaid(data, defaults or {}))
        check(config)
        return config

    def to_dict(self):
        """Complete, as `config.json` of the run folder keeps it."""
        return asdict(self)

    @property
    def settings(self):
        """The section of the chosen method (`config.lora`, …)."""
        return getattr(self, self.method)

    @property
    def word(self):
        """What [name] stands for in prompt templates: the word that an embedding teaches."""
        return self.textual_inversion.token or self.name


def overlaid(data, defaults):
    """`defaults` with `data` laid over them, group by group; lists are taken whole."""
    if not (isinstance(data, dict) and isinstance(defaults, dict)):
        return data
    return {**defaults, **{key: overlaid(given, defaults.get(key)) for key, given in data.items()}}
