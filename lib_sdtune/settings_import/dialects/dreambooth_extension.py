"""db_config.json of d8ahazard's sd_dreambooth_extension (at 4244f6b and from 2022), with its list of concepts."""

from typing import Any

from lib_sdtune.settings_import.checkpoints import set_checkpoint
from lib_sdtune.settings_import.concepts_list import set_concepts
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect
from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry, fraction, integer
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.optimizers import set_arguments, set_optimizer
from lib_sdtune.settings_import.option import Option, apply
from lib_sdtune.settings_import.reader import Reader
from lib_sdtune.settings_import.sample_prompts import line_of, set_prompts
from lib_sdtune.settings_import.schedules import set_schedule
from lib_sdtune.settings_import.sd_scripts.files import entries_of
from lib_sdtune.settings_import.sd_scripts.lengths import set_share
from lib_sdtune.settings_import.sd_scripts.model import set_clip_skip
from lib_sdtune.settings_import.sd_scripts.pictures import set_images
from lib_sdtune.settings_import.steps import total_steps

SIGNS = {
    "num_train_epochs",
    "lora_learning_rate",
    "concepts_path",
    "concepts_list",
    "use_lora",
    "half_model",
    "model_dir",
    "custom_model_name",
    "not_cache_latents",
    "hflip",
    "save_embedding_every",
    "db_new_model_name",
    "txt_learning_rate",
}
WARMUP, PRIOR_LOSS_WEIGHT = 500, 0.75
OPTIMIZERS = {
    "8bitadamw": "AdamW8bit",
    "torchadamw": "AdamW",
    "pagedadamw8bit": "PagedAdamW8bit",
    "pagedadamw": "PagedAdamW",
}
OPTIONS = [
    Option("resolution", int, 512, "dataset.resolution"), Option("train_batch_size", int, 1, "train.batch_size"),
    Option("gradient_accumulation_steps", int, 1, "train.gradient_accumulation_steps"),
    Option("gradient_checkpointing", bool, True, "train.gradient_checkpointing",
           convert=lambda value: "on" if value else "off"),
    Option("mixed_precision", str, "fp16", "train.mixed_precision"), Option("hflip", bool, False, "dataset.flip_aug"),
    Option("shuffle_tags", bool, True, "dataset.shuffle_caption"),
    Option("max_token_length", int, 75, "dataset.max_token_length"),
    Option("offset_noise", float, 0.0, "noise.noise_offset"), Option("min_snr_gamma", float, 0.0, "loss.min_snr_gamma"),
    Option("prior_loss_weight", float, PRIOR_LOSS_WEIGHT, "loss.prior_loss_weight"),
    Option("lr_cycles", int, 1, "train.lr_scheduler_num_cycles"), Option("lr_power", float, 1.0, "train.lr_scheduler_power"),
    Option("save_embedding_every", int, 25, "save.every_n_epochs"),
    Option("save_preview_every", int, 5, "sample.every_n_epochs"),
    Option("prior_loss_scale", bool, False, how="let the weight of class pictures fall over the run"),
    Option("split_loss", bool, True, how="computed the loss of class pictures by themselves, as it is here"),
    Option("learning_rate_min", float, None, how="was the lowest rate of some schedules"),
    Option("freeze_clip_normalization", bool, False, how="left norms of the text encoder as they are"),
    Option("tenc_grad_clip_norm", float, 0.0, how="clipped the text encoder's gradients by themselves; train.max_grad_norm does "
                                                  "all"),
    Option("pretrained_vae_name_or_path", str, None, how="encoded the pictures with another VAE"),
    Option("use_dream", bool, False, how="another way to compute the loss (DREAM)"),
    Option("train_imagic", bool, False, how="another method (Imagic)"),
    Option("strict_tokens", bool, False, how="parted captions by semicolons"),
]


@registry.register("sd_dreambooth_extension")
class DreamboothExtension(Dialect):
    title, program, order = "sd_dreambooth_extension", "sd_dreambooth_extension", 18

    @staticmethod
    def recognises(document: Document) -> bool:
        keys = set(plain(document.table))
        return len(SIGNS & keys) >= 3 and not {"network_dim", "LoRA_type"} & keys

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        draft.program = "sd_dreambooth_extension"
        Model(document, draft, files).read()


def plain(table: dict[str, Any]) -> dict[str, Any]:
    """The values of its page, where the file is of the page: {"learning_rate": {"value": ...}}."""
    groups = {key: value["value"] for key, value in table.items() if isinstance(value, dict) and "value" in value}
    dotted = {key.removesuffix(".value"): value for key, value in table.items() if key.endswith(".value")}
    return {**{key: value for key, value in table.items() if "." not in key and key not in groups}, **groups, **dotted}


class Model(Reader):
    """One model's file."""

    def __init__(self, document: Document, draft: Draft, files: Files) -> None:
        super().__init__(entries_of(plain(document.table), document.name), document, draft, files)

    def read(self) -> None:
        draft, settings = self.draft, self.settings
        lora = self.is_on("use_lora")
        draft.config["method"] = "lora" if lora else "dreambooth"
        self.model()
        self.concepts()
        apply(OPTIONS, settings, draft)
        set_clip_skip(draft, settings.take("clip_skip"))
        self.cache()
        self.rates()
        if lora:
            self.network()
        elif self.is_on("use_ema"):
            draft.set("dreambooth.ema_decay", 0.9999, settings["use_ema"], "its usual rate")
        self.optimizer()
        draft.set("save.precision", "fp16" if self.is_on("half_model") else "float", settings.get("half_model"))
        noise = settings.get("input_pertubation")
        draft.set(
            "noise.ip_noise_gamma",
            0.1 if self.is_on("input_pertubation") else 0.0,
            noise,
            "0.1 there" if self.is_on("input_pertubation") else "",
        )
        self.length()
        self.samples()
        specific, name = settings.take("custom_model_name"), settings.take("model_name")
        self.set_name(specific or name)
        self.name_rest()

    def model(self) -> None:
        """The real checkpoint is in "src"; the path that it trains is a copy of its own."""
        self.draft.assign("model.checkpoint", "")
        self.draft.assign("model.prediction_type", "auto")
        if source := self.settings.take("src"):
            set_checkpoint(self.draft, source)
        if copy := self.settings.take("pretrained_model_name_or_path"):
            self.draft.notes.differ(
                copy,
                "the extension's own copy of the model, no checkpoint file; the checkpoint that is loaded is trained",
                "model.checkpoint",
                self.draft.get("model.checkpoint"),
            )

    def concepts(self) -> None:
        listed, path = self.settings.take("concepts_list"), self.settings.take("concepts_path")
        rows = listed.value if listed and isinstance(listed.value, list) else None
        if rows is None and path:
            named_document = self.files.named(path, self.document, self.draft)
            rows = named_document.rows if named_document else None
        if rows is None and "instance_data_dir" in self.settings:
            rows = [{key: self.settings[key].value for key in list(self.settings) if key.startswith((
                "instance_", "class_", "num_class_images", "save_sample_")) and self.settings.take(key)}]
        if rows:
            set_concepts(self.draft, rows, self.document.name)
        self.draft.config.setdefault("concepts", [{"repeats": 1}])
        set_images(self.draft)
        self.draft.assign("dataset.caption_extension", ".txt")
        crop = self.settings.get("center_crop")
        self.draft.assign("dataset.random_crop", crop is not None and not self.is_on("center_crop", True))

    def cache(self) -> None:
        opposite = self.settings.get("not_cache_latents")
        entry = opposite or self.settings.get("cache_latents")
        on = not self.is_on("not_cache_latents") if opposite else self.is_on("cache_latents", True)
        self.settings.used.add("cache_latents")
        self.draft.set("dataset.cache_latents", on, entry)

    def rate(self, path: str, name: str, default: float) -> None:
        entry = self.settings.take(name)
        value = self.fraction(entry)
        if value is None:
            self.draft.default(path, default, name)
        else:
            self.draft.set(path, value, entry)

    def rates(self) -> None:
        names = (("lora_learning_rate", 1e-4), ("lora_txt_learning_rate", 5e-5))
        remaining = (("learning_rate", 2e-6), ("txt_learning_rate", 1e-6))
        if self.draft.method == "dreambooth":
            names, remaining = remaining, names
        for part, (name, default) in zip(("unet_lr", "text_encoder_lr"), names, strict=True):
            self.rate(f"{self.draft.method}.{part}", name, default)
        if self.draft.method == "dreambooth" and "txt_learning_rate" not in self.settings:
            self.draft.assign("dreambooth.text_encoder_lr", self.draft.get("dreambooth.unet_lr"))
        for name, _ in remaining:
            if entry := self.settings.take(name):
                self.draft.notes.off.append(entry.key)
        if "train_unet" in self.settings and not self.is_on("train_unet", True):
            self.draft.set(
                f"{self.draft.method}.unet_lr", 0.0, self.settings["train_unet"], "0 leaves the UNet out here"
            )

    def network(self) -> None:
        unet, text = (self.draft.readable(self.settings.take(f"lora_{part}_rank"), integer) for part in ("unet", "txt"))
        dim = integer(unet.value) if unet else 4
        self.draft.set("lora.network", "lora")
        self.draft.set("lora.dim", dim, unet)
        self.draft.set("lora.alpha", float(dim), unet, "it has no alpha, which is an alpha of the dim")
        if text and integer(text.value) != dim:
            self.draft.notes.differ(text, f"one dim for both parts here, {dim}")
        extended = self.settings.get("use_lora_extended")
        wide = self.is_on("use_lora_extended")
        self.draft.set("lora.conv_dim", dim if wide else 0, extended, "convolutions too" if wide else "")
        self.draft.assign("lora.conv_alpha", float(dim) if wide else 1.0)

    def optimizer(self) -> None:
        entry, eight = self.settings.take("optimizer"), self.settings.take("use_8bit_adam")
        name = str(entry.value) if entry else "8bit AdamW"
        key = "".join(letter for letter in name.lower() if letter.isalnum())
        optimizer = set_optimizer(self.draft, OPTIMIZERS.get(key, "DAdapt" if "dadapt" in key else key), entry)
        if eight:
            self.draft.notes.off.append(eight.key)
        arguments: dict[str, Any] = {}
        betas = [self.draft.readable(self.settings.take(f"adam_beta{number}"), fraction) for number in (1, 2)]
        if all(betas):
            arguments["betas"] = [fraction(beta.value) for beta in betas if beta]
        for names, argument in ((("weight_decay", "adam_weight_decay"), "weight_decay"), (("adam_epsilon",), "eps")):
            option = next((entry for name in names if (entry := self.settings.take(name))), None)
            if option := self.draft.readable(option, fraction):
                arguments[argument] = fraction(option.value)
        set_arguments(self.draft, arguments, optimizer, Entry("optimizer arguments", arguments, self.document.name))
        schedule = self.settings.take("lr_scheduler")
        name = str(schedule.value) if schedule else "constant_with_warmup"
        set_schedule(self.draft, "constant_with_warmup" if name.startswith("dadapt") else name, schedule)

    def length(self) -> None:
        """Epochs are passes over the pictures with their class pictures; steps are counted in pictures there."""
        draft = self.draft
        entry, steps = (draft.readable(self.settings.take(name), integer)
                        for name in ("num_train_epochs", "max_train_steps"))
        draft.assign("train.max_train_steps", 0)
        if steps and integer(steps.value) > 0:
            draft.set("train.max_train_steps", integer(steps.value), steps, "counted in pictures there")
            draft.assign("train.max_train_epochs", 0)
        elif entry:
            draft.set("train.max_train_epochs", integer(entry.value), entry)
        else:
            draft.default("train.max_train_epochs", 100, "num_train_epochs")
        warmup = draft.readable(self.settings.take("lr_warmup_steps"), integer)
        steps_of_warmup = integer(warmup.value) if warmup else WARMUP
        if draft.get("train.lr_scheduler") == "constant":
            steps_of_warmup = 0
        draft.set("train.lr_warmup_steps", steps_of_warmup, warmup)
        draft.assign("train.stop_text_encoder_training", 0)
        stop = draft.readable(self.settings.take("stop_text_encoder"), fraction)
        share = fraction(stop.value) if stop else 1.0
        if stop and share == 0:
            draft.set(f"{draft.method}.text_encoder_lr", 0.0, stop, "0 leaves the text encoder out here")
        elif stop and share < 1:
            set_share(draft, "train.stop_text_encoder_training", share, stop, total_steps(draft))
        elif stop:
            draft.notes.off.append(stop.key)

    def samples(self) -> None:
        prompt, negative = (
            self.settings.take("save_sample_prompt") or self.settings.take("sanity_prompt"),
            self.settings.take("save_sample_negative_prompt"),
        )
        seed = self.draft.readable(self.settings.take("sanity_seed"), integer)
        if prompt and not self.draft.get("sample.prompts"):
            set_prompts(
                self.draft, [line_of({"prompt": prompt.value, "negative": negative.value if negative else ""})], prompt
            )
        if seed and str(seed.value) != "-1":
            self.draft.set("sample.seed", integer(seed.value), seed)
        self.draft.assign("sample.every_n_steps", 0)

    def name_rest(self) -> None:
        """Its page, what it saves, and options of its teacher: none of them changes what is learned here."""
        for _, entry in self.settings.unused():
            self.draft.notes.off.append(entry.key)
