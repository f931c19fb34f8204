"""OneTrainer's config and presets, its list of concepts and its list of samples (Nerogar/OneTrainer at 23df3832).

Presets hold what differs from its defaults alone. Versions differ in names; both old and new ones are read here.
"""

import math
from pathlib import PurePath
from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.settings_import import families
from lib_sdtune.settings_import.checkpoints import set_checkpoint
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect
from lib_sdtune.settings_import.documents import Document, flat
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry, flag, fraction, integer, number
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.onetrainer import (
    MODELS,
    OPTIMIZER_ARGUMENTS,
    OPTIONS,
    OTHER_METHODS,
    PRECISIONS,
    SCHEDULES,
)
from lib_sdtune.settings_import.onetrainer_concepts import is_concepts, set_concepts
from lib_sdtune.settings_import.optimizers import set_arguments, set_optimizer
from lib_sdtune.settings_import.option import apply, name_unknown
from lib_sdtune.settings_import.sample_prompts import from_table, set_prompts
from lib_sdtune.settings_import.schedules import set_schedule
from lib_sdtune.settings_import.sd_scripts.files import entries_of
from lib_sdtune.settings_import.sd_scripts.pictures import set_images, set_sides, sides_of
from lib_sdtune.settings_import.sd_scripts.saving import clean
from lib_sdtune.settings_import.steps import steps_per_epoch

METHODS = {"LORA": "lora", "FINE_TUNE": "dreambooth", "EMBEDDING": "textual_inversion"}
LEARNING_RATE, WARMUP, TOKENS = 3e-6, 200, 75
TRAINED_PARTS = ("unet", "text_encoder", "text_encoder_2")


@registry.register("OneTrainer")
class OneTrainer(Dialect):
    title, program, order = "OneTrainer", "OneTrainer", 15

    @staticmethod
    def recognises(document: Document) -> bool:
        table = document.table
        return "training_method" in table and ("model_type" in table or "base_model_name" in table) or (
            "model_type" in table and "base_model_name" in table and "output_model_destination" in table)

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        draft.program = "OneTrainer"
        Config(document, draft, files).read()


@registry.register("OneTrainer concepts")
class OneTrainerConcepts(Dialect):
    title, program, order, is_part = "OneTrainer's concepts", "OneTrainer", 16, True

    @staticmethod
    def recognises(document: Document) -> bool:
        return is_concepts(document.data)

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        alone = not draft.program
        draft.program = "OneTrainer"
        set_concepts(draft, document.data, document.name)
        if alone:
            Config(Document(document.path, "json", {}), draft, files).read()
            draft.notes.warnings.append(f"{document.name} names pictures alone; the settings of the training are "
                                        "OneTrainer's defaults. Give its config too.")
        set_images(draft)


class Config:
    """One config: `settings` holds every key, those of groups as "unet.train"."""

    def __init__(self, document: Document, draft: Draft, files: Files) -> None:
        self.document, self.draft, self.files = document, draft, files
        table = {key: value for key, value in document.table.items() if key not in ("optimizer_defaults",)}
        if isinstance(table.get("optimizer"), str):  # version 0
            table["optimizer.optimizer"] = table.pop("optimizer")
        self.settings = entries_of(flat(table, deep=True), document.name)

    def read(self) -> None:
        draft, settings = self.draft, self.settings
        self.model()
        self.concepts()
        self.resolution()
        self.parts()
        self.optimizer()
        apply(OPTIONS, settings, draft)
        self.precision()
        self.network()
        self.name()
        self.loss()
        self.length()
        self.rhythms()
        self.samples()
        self.average()
        self.groups()
        settings.used.add("__version")
        draft.assign("dataset.max_token_length", TOKENS)
        draft.config["dataset"].setdefault("caption_extension", ".txt")
        name_unknown(settings, draft, "OneTrainer")

    def value(self, name: str, default: Any = None) -> Any:
        entry = self.settings.take(name)
        return entry.value if entry else default

    def number(self, name: str, default: float) -> float:
        entry = self.settings.take(name)
        try:
            return number(entry.value) if entry else default
        except ValueError as error:
            if entry:
                self.draft.notes.unread(entry, error)
            return default

    def is_on(self, name: str, default: bool) -> bool:
        try:
            return flag(self.value(name, default))
        except ValueError:
            return default

    def model(self) -> None:
        """The family, the method, the checkpoint and the clip skip. UserError for what cannot be trained."""
        kind = str(self.value("model_type", "STABLE_DIFFUSION_15")).upper()
        if "INPAINTING" in kind:
            families.refuse(self.document.name, families.FAMILIES["inpaint"])
        if kind not in MODELS:
            families.check_word(self.document.name, kind)
            families.refuse(self.document.name, f"the model type {kind}")
        self.draft.sdxl = "XL" in kind
        method = str(self.value("training_method", "FINE_TUNE")).upper()
        if method not in METHODS:
            raise UserError(f"{self.document.name} is for {OTHER_METHODS.get(method, method)}, which cannot be trained here.")
        self.draft.config["method"] = METHODS[method]
        self.draft.assign("model.checkpoint", "")
        if entry := self.settings.take("base_model_name"):
            set_checkpoint(self.draft, entry)
        self.draft.assign("model.prediction_type", "auto")
        for name, prediction in (("force_v_prediction", "v_prediction"), ("force_epsilon_prediction", "epsilon")):
            if self.is_on(name, False):
                self.draft.set("model.prediction_type", prediction, self.settings[name])
            elif name in self.settings:
                self.draft.notes.off.append(name)
        skip = self.settings.take("text_encoder_layer_skip")
        layers = int(self.number("text_encoder_layer_skip", 0))
        if self.draft.sdxl or not layers:
            self.draft.assign("model.clip_skip", 1)
            if skip and layers:
                self.draft.notes.differ(skip, "SDXL's layer is fixed here")
            elif skip:
                self.draft.notes.off.append(skip.key)
        else:
            self.draft.set("model.clip_skip", layers + 1, skip, "0 is the last layer there, 1 here")

    def concepts(self) -> None:
        listed, file = self.settings.take("concepts"), self.settings.take("concept_file_name")
        if listed and isinstance(listed.value, list):
            set_concepts(self.draft, listed.value, self.document.name)
            if file:
                self.draft.notes.off.append(file.key)
        elif file and "concepts" not in self.draft.config:
            other = self.files.named(file, self.document, self.draft)
            if other is not None:
                set_concepts(self.draft, other.data, other.name)
        self.draft.config.setdefault("concepts", [{"repeats": 1}])
        set_images(self.draft)

    def resolution(self) -> None:
        entry = self.settings.take("resolution")
        sizes = str(entry.value).split(",") if entry else []
        sides = sides_of(sizes[0]) if sizes else []
        if entry is None or not sides:
            self.draft.default("dataset.resolution", 512, "resolution")
        elif len(sizes) > 1:
            self.draft.set("dataset.resolution", round(math.sqrt(sides[0] * sides[-1])), entry,
                           "several sizes, one at random each time; here the first alone")
        else:
            set_sides(self.draft, sides, entry)

    def scale(self) -> float:
        """What the rates are multiplied by."""
        entry = self.settings.take("learning_rate_scaler")
        kind = str(entry.value).upper() if entry else "NONE"
        batch, accumulation = self.number("batch_size", 1), self.number("gradient_accumulation_steps", 1)
        factor = {"BATCH": batch, "GRADIENT_ACCUMULATION": accumulation, "BOTH": batch * accumulation}.get(
            kind.removeprefix("GLOBAL_"), 1)
        if entry and factor != 1:
            self.draft.notes.differ(entry, f"the rates are multiplied by the root of {factor:g}; here that is done already")
        elif entry:
            self.draft.notes.off.append(entry.key)
        return math.sqrt(factor)

    def parts(self) -> None:
        """The rate of each part that is trained; 0 for one that is not."""
        scale = self.scale()
        common = self.settings.take("learning_rate")
        method = self.draft.method
        if method == "textual_inversion":
            specific = self.settings.take("embedding_learning_rate")
            self.rate("textual_inversion.lr", specific or common, scale)
            self.embedding()
            return
        self.rate(f"{method}.unet_lr", self.settings.take("unet.learning_rate") or self.settings.take("unet_learning_rate")
                  or common, scale)
        if not self.is_on("unet.train", self.is_on("train_unet", True)):
            entry = self.settings.get("unet.train") or self.settings.get("train_unet")
            self.draft.set(f"{method}.unet_lr", 0.0, entry, "0 leaves the UNet out here")
        self.text_encoder(method, common, scale)
        self.settings.used.update(("unet.train", "train_unet"))

    def text_encoder(self, method: str, common: Entry | None, scale: float) -> None:
        path = f"{method}.text_encoder_lr"
        specific = [entry for name in ("text_encoder.learning_rate", "text_encoder_learning_rate", "text_encoder_2.learning_rate",
                                  "text_encoder_2_learning_rate") if (entry := self.settings.take(name))]
        self.rate(path, specific[0] if specific else common, scale)
        if len({str(entry.value) for entry in specific}) > 1:
            self.draft.notes.differ(specific[1], "one rate for both text encoders here, the first's")
        names = ["text_encoder.train", "train_text_encoder"]
        trained = self.is_on(names[0], self.is_on(names[1], True))
        if self.draft.sdxl:
            second = self.is_on("text_encoder_2.train", self.is_on("train_text_encoder_2", True))
            if trained != second:
                self.draft.notes.differ(Entry("text_encoder_2.train", second), "both text encoders of SDXL are trained here, or "
                                                                               "none")
            trained = trained or second
        if not trained:
            entry = next((self.settings[name] for name in names if name in self.settings), None)
            self.draft.set(path, 0.0, entry, "0 leaves the text encoder out here")

    def rate(self, path: str, entry: Entry | None, scale: float) -> None:
        try:
            value = fraction(entry.value) if entry else LEARNING_RATE
        except ValueError as error:
            if entry:
                self.draft.notes.unread(entry, error)
            entry, value = None, LEARNING_RATE
        if entry is None:
            self.draft.default(path, value * scale, "learning_rate")
        else:
            self.draft.set(path, value * scale, entry, f"times {scale:g}, as its scaler says" if scale != 1 else "")

    def embedding(self) -> None:
        """The embedding: `embedding` of new versions, the first of `embeddings` of old ones."""
        listed = self.settings.take("embeddings")
        first = listed.value[0] if listed and isinstance(listed.value, list) and listed.value else {}
        source = self.document.name
        facts = {f"embedding.{key}": Entry(f"embeddings[0].{key}", value, source) for key, value in first.items()} if isinstance(
            first, dict) else {}
        for name, entry in facts.items():
            self.settings.setdefault(name, entry)
        for name, path, kind in (("token_count", "num_vectors_per_token", integer), ("initial_embedding_text", "init_text", str),
                                 ("placeholder", "token", str), ("model_name", "init_embedding", str)):
            entry = self.settings.take(f"embedding.{name}")
            if entry is None:
                continue
            value = kind(entry.value)
            if name == "model_name":
                value = PurePath(value.replace("\\", "/")).stem
            if name == "placeholder" and value == "<embedding>":
                self.draft.notes.off.append(entry.key)
                continue
            self.draft.set(f"textual_inversion.{path}", value, entry)
        self.draft.config.setdefault("textual_inversion", {}).setdefault("num_vectors_per_token", 1)
        remaining = self.settings.take("additional_embeddings")
        if remaining:
            self.draft.notes.refuse(remaining, "trained further embeddings together; one is trained here")

    def optimizer(self) -> None:
        entry = self.settings.take("optimizer.optimizer")
        name = str(entry.value) if entry else "ADAMW"
        optimizer = set_optimizer(self.draft, name.replace("_", ""), entry)
        arguments: dict[str, Any] = {}
        betas = [self.value(f"optimizer.beta{number}") for number in (1, 2)]
        if None not in betas:
            arguments["betas"] = betas
        for key, argument in OPTIMIZER_ARGUMENTS.items():
            option = self.settings.take(f"optimizer.{key}")
            if option:
                arguments[argument] = option.value
        set_arguments(self.draft, {key: value for key, value in arguments.items() if is_for(key, optimizer)}, optimizer,
                      Entry("optimizer", name, self.document.name))
        for key in [key for key in self.settings if key.startswith("optimizer.")]:
            if key not in self.settings.used:
                self.settings.used.add(key)
                self.draft.notes.off.append(key)
        schedule = self.settings.take("learning_rate_scheduler")
        text = str(schedule.value).upper() if schedule else "CONSTANT"
        if text in SCHEDULES:
            set_schedule(self.draft, SCHEDULES[text], schedule)
        elif text == "COSINE_WITH_RESTARTS":
            self.draft.set("train.lr_scheduler", "cosine_with_restarts", schedule, "falls and rises again evenly there; here it "
                                                                                   "jumps up")
        else:
            set_schedule(self.draft, text.lower(), schedule)

    def precision(self) -> None:
        for name, path, default in (("train_dtype", "train.mixed_precision", "FLOAT_16"),
                                    ("output_dtype", "save.precision", "FLOAT_32")):
            entry = self.settings.take(name)
            value = PRECISIONS[path].get(str(entry.value).upper() if entry else default)
            if value is None:
                self.draft.notes.refuse(entry or Entry(name, default), "a number format that is not known here")
            elif entry:
                self.draft.set(path, value, entry)
            else:
                self.draft.default(path, value, name)
        checkpointing = self.settings.take("gradient_checkpointing")
        text = str(checkpointing.value).strip().lower() if checkpointing else "true"
        self.draft.set("train.gradient_checkpointing", "off" if text in ("false", "off", "0") else "on", checkpointing)

    def network(self) -> None:
        """Its LoRA covers convolutions, where the filter of layers lets it."""
        if self.draft.method != "lora":
            for name in ("lora_rank", "lora_alpha", "lora_model_name"):
                if entry := self.settings.take(name):
                    self.draft.notes.off.append(entry.key)
            return
        rank, alpha = self.settings.take("lora_rank"), self.settings.take("lora_alpha")
        dim, strength = int(self.number("lora_rank", 16)), float(self.number("lora_alpha", 1.0))
        kind = str(self.value("peft_type", "LORA")).upper()
        if kind not in ("LORA", "LOHA"):
            self.draft.notes.refuse(Entry("peft_type", kind), "cannot be trained here; CONFIG trains a LoRA instead")
        network = "loha" if kind == "LOHA" else "dora" if self.is_on("lora_decompose", False) else "lora"
        self.draft.assign("lora.network", network)
        for path, value, entry, name in (("lora.dim", dim, rank, "lora_rank"), ("lora.alpha", strength, alpha, "lora_alpha")):
            if entry:
                self.draft.set(path, value, entry)
            else:
                self.draft.default(path, value, name)
        preset, layers = self.settings.take("layer_filter_preset"), self.settings.take("layer_filter")
        layers = layers or self.settings.take("lora_layers")
        without = str(preset.value) in ("attn-mlp", "attn-only") if preset else bool(layers)
        self.draft.assign("lora.conv_dim", 0 if without else dim)
        self.draft.assign("lora.conv_alpha", 1.0 if without else strength)
        if preset or layers:
            self.draft.notes.differ(preset or layers, "which layers learn; here those of attention and MLPs"
                                    + ("" if without else ", and convolutions"), "lora.conv_dim", 0 if without else dim)
        else:
            self.draft.notes.differ(Entry("layer_filter", "not set"), "its LoRA covers convolutions then", "lora.conv_dim", dim)
        if file := self.settings.take("lora_model_name"):
            self.draft.set("lora.init_file", PurePath(str(file.value).replace("\\", "/")).stem, file,
                           "the name of a LoRA in models/Lora")

    def name(self) -> None:
        entry = self.settings.take("output_model_destination")
        if self.draft.name:
            self.draft.config["name"] = self.draft.name
        elif entry and (name := clean(str(entry.value))):
            self.draft.set("name", name, entry, "the stem of the file")

    def loss(self) -> None:
        mse, mae = self.number("mse_strength", 1.0), self.number("mae_strength", 0.0)
        remaining = [name for name in ("log_cosh_strength", "huber_strength") if self.number(name, 0)]
        loss = "huber" if "huber_strength" in remaining and not mse else "l1" if mae and not mse else "l2"
        self.draft.assign("loss.loss_type", loss)
        if mae and mse or remaining:
            self.draft.notes.refuse(Entry("mse_strength and mae_strength", f"{mse:g} and {mae:g}"),
                                    f"mixed several losses; {loss} is taken")
        elif entry := self.settings.get("mae_strength"):
            if mae:
                self.draft.notes.take(entry, "loss.loss_type", loss)
            else:
                self.draft.notes.off.append(entry.key)
        weight, strength = self.settings.take("loss_weight_fn"), self.settings.take("loss_weight_strength")
        kind = str(weight.value).upper() if weight else "CONSTANT"
        gamma = self.number("loss_weight_strength", 5.0)
        old = self.settings.take("min_snr_gamma")
        self.draft.assign("loss.min_snr_gamma", 0.0)
        if kind == "MIN_SNR_GAMMA":
            self.draft.set("loss.min_snr_gamma", float(gamma), strength or weight)
        elif old and self.number("min_snr_gamma", 0):
            self.draft.set("loss.min_snr_gamma", float(self.number("min_snr_gamma", 0)), old)
        elif strength:
            self.draft.notes.off.append(strength.key)
        if kind == "DEBIASED_ESTIMATION":
            self.draft.set("loss.debiased_estimation", True, weight)
        elif weight and kind not in ("CONSTANT", "MIN_SNR_GAMMA"):
            self.draft.notes.refuse(weight, "weighted the timesteps in a way that is not known here")

    def length(self) -> None:
        """Epochs; the warm-up is micro-steps above 1, else a share; the text encoder may stop after some epochs."""
        draft = self.draft
        draft.assign("train.max_train_steps", 0)
        entry = self.settings.take("epochs")
        epochs = int(self.number("epochs", 100))
        if entry:
            draft.set("train.max_train_epochs", epochs, entry)
        else:
            draft.default("train.max_train_epochs", epochs, "epochs")
        each = steps_per_epoch(draft)
        accumulation = max(1, int(self.number("gradient_accumulation_steps", 1)))
        self.warmup(epochs * each if each else None, accumulation)
        self.stop(each)

    def warmup(self, total: int | None, accumulation: int) -> None:
        entry = self.settings.take("learning_rate_warmup_steps")
        value = self.number("learning_rate_warmup_steps", WARMUP)
        path, entry_or_default = "train.lr_warmup_steps", entry or Entry("learning_rate_warmup_steps", f"{WARMUP} by default")
        if value > 1:
            how = f"counted in micro-steps: divided by {accumulation}" if accumulation > 1 else ""
            steps = int(value / accumulation)
            if entry or how:
                self.draft.set(path, steps, entry_or_default, how)
            else:
                self.draft.default(path, steps, "learning_rate_warmup_steps")
        elif total is None and value:
            self.draft.set(path, 0, entry_or_default, "a share of the run, which becomes steps when the pictures are there "
                                                      "(--images); until then it is 0")
        else:
            self.draft.set(path, int(value * (total or 0)), entry, "a share of the run")
        if self.draft.get(path) and self.draft.get("train.lr_scheduler") == "constant":
            original = self.draft.origins.get("train.lr_scheduler") or Entry("learning_rate_scheduler", "CONSTANT by default")
            self.draft.set("train.lr_scheduler", "constant_with_warmup", original, "with a warm-up, as learning_rate_warmup_steps "
                                                                                   "asks for")

    def stop(self, each: int | None) -> None:
        self.draft.assign("train.stop_text_encoder_training", 0)
        entry, unit = self.settings.take("text_encoder.stop_training_after"), self.value(
            "text_encoder.stop_training_after_unit", "NEVER")
        entry = entry or self.settings.take("train_text_encoder_epochs")
        if entry and entry.key == "train_text_encoder_epochs":
            unit = "EPOCH"
        learns = self.draft.get(f"{self.draft.method}.text_encoder_lr", 0)
        if entry is None or str(unit).upper() == "NEVER" or not learns or not self.number_of(entry):
            if entry:
                self.draft.notes.off.append(entry.key)
            return
        count, path = self.number_of(entry), "train.stop_text_encoder_training"
        if str(unit).upper() == "EPOCH" and each:
            self.draft.set(path, count * each, entry, f"epochs there, of {each} steps each")
        elif str(unit).upper() == "STEP":
            self.draft.set(path, count, entry)
        else:
            self.draft.notes.refuse(entry, f"in units of {unit}; it becomes steps when the pictures are there (--images)")

    def average(self) -> None:
        """An average of the weights, for a whole model alone."""
        ema, decay = self.settings.take("ema"), self.settings.take("ema_decay")
        if str(getattr(ema, "value", "OFF")).upper() == "OFF":
            self.draft.notes.off.extend(entry.key for entry in (ema, decay) if entry)
        elif self.draft.method == "dreambooth":
            self.draft.set("dreambooth.ema_decay", float(self.number("ema_decay", 0.999)), decay or ema)
        elif ema:
            self.draft.notes.refuse(ema, "kept an average of the weights; here for a whole model alone")

    def groups(self) -> None:
        """Groups of settings for each part of a model: what of them is left belongs to parts that do not learn."""
        for name, entry in list(self.settings.unused()):
            part, _, key = name.rpartition(".")
            if not part:
                continue
            self.settings.used.add(name)
            if key == "model_name" and not entry.is_unset and part in (*TRAINED_PARTS, "vae"):
                self.draft.notes.refuse(entry, "took that part from another file; here the checkpoint's own is taken")
            elif key == "stop_training_after_unit" and part == "unet" and str(entry.value).upper() != "NEVER":
                self.draft.notes.refuse(entry, "stopped the UNet earlier; here it learns to the end")
            else:
                self.draft.notes.off.append(name)

    def number_of(self, entry: Entry) -> int:
        try:
            return int(number(entry.value))
        except ValueError:
            return 0

    def rhythms(self) -> None:
        """Saves, samples and backups, each with a unit of its own."""
        self.rhythm("save_every" if "save_every" in self.settings else "save_after", "save", 0, "NEVER")
        self.rhythm("sample_after", "sample", 10, "MINUTE")
        for name in ("backup_after", "backup_after_unit"):
            if entry := self.settings.take(name):
                self.draft.notes.off.append(entry.key)

    def rhythm(self, name: str, section: str, default: int, default_unit: str) -> None:
        entry, unit = self.settings.take(name), str(self.value(f"{name}_unit", default_unit)).upper()
        value = int(self.number(name, default))
        for each in ("epochs", "steps"):
            self.draft.assign(f"{section}.every_n_{each}", 0)
        if unit in ("EPOCH", "STEP") and value:
            self.draft.set(f"{section}.every_n_{unit.lower()}s", value, entry)
        elif unit != "NEVER" and value and entry:
            self.draft.notes.refuse(entry, f"in units of {unit}; here epochs or steps")
        elif entry:
            self.draft.notes.off.append(entry.key)

    def samples(self) -> None:
        listed, file = self.settings.take("samples"), self.settings.take("sample_definition_file_name")
        if listed and isinstance(listed.value, list):
            set_prompts(self.draft, from_table(listed.value), listed)
        elif file:
            other = self.files.named(file, self.document, self.draft)
            if other is not None:
                set_prompts(self.draft, from_table(other.data), file)


def is_for(argument: str, optimizer: str) -> bool:
    """Whether OneTrainer passes an argument to that optimizer: its file holds those of all."""
    of_prodigy = {"d0", "d_coef", "decouple", "safeguard_warmup", "use_bias_correction", "growth_rate", "beta3"}
    of_sgd = {"momentum", "dampening", "nesterov"}
    if argument in of_prodigy:
        return optimizer == "Prodigy"
    return optimizer == "SGDNesterov" if argument in of_sgd else True

