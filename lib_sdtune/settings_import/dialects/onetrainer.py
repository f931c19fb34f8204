"""OneTrainer's config and presets, its list of concepts and its list of samples (Nerogar/OneTrainer at 23df3832).

Presets hold what differs from its defaults alone. Versions differ in names; both old and new ones are read here.
"""

import math
from pathlib import PurePath

from lib_sdtune.errors import UserError
from lib_sdtune.settings_import import families
from lib_sdtune.settings_import.checkpoints import set_checkpoint
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect
from lib_sdtune.settings_import.documents import Document, flat
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry, number
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.onetrainer import MODELS, OPTIONS, OTHER_METHODS, PRECISIONS
from lib_sdtune.settings_import.onetrainer_concepts import is_concepts, set_concepts
from lib_sdtune.settings_import.onetrainer_lengths import set_length, set_rhythms
from lib_sdtune.settings_import.onetrainer_optimizer import set_optimizer_and_schedule
from lib_sdtune.settings_import.onetrainer_rates import set_rates
from lib_sdtune.settings_import.option import apply, name_unknown
from lib_sdtune.settings_import.reader import Reader
from lib_sdtune.settings_import.sample_prompts import from_table, set_prompts
from lib_sdtune.settings_import.sd_scripts.files import entries_of
from lib_sdtune.settings_import.sd_scripts.pictures import set_images, set_sides, sides_of

METHODS = {"LORA": "lora", "FINE_TUNE": "dreambooth", "EMBEDDING": "textual_inversion"}
TOKENS = 75
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


class Config(Reader):
    """One config: `settings` holds every key, those of groups as "unet.train"."""

    def __init__(self, document: Document, draft: Draft, files: Files) -> None:
        table = {key: value for key, value in document.table.items() if key not in ("optimizer_defaults",)}
        if isinstance(table.get("optimizer"), str):  # version 0
            table["optimizer.optimizer"] = table.pop("optimizer")
        super().__init__(entries_of(flat(table, deep=True), document.name), document, draft, files)

    def read(self) -> None:
        draft, settings = self.draft, self.settings
        self.model()
        self.concepts()
        self.resolution()
        set_rates(self)
        set_optimizer_and_schedule(self)
        apply(OPTIONS, settings, draft)
        self.precision()
        self.network()
        self.set_name(settings.take("output_model_destination"), "the stem of the file")
        self.loss()
        self.timesteps()
        set_length(self)
        set_rhythms(self)
        self.samples()
        self.average()
        self.groups()
        settings.used.add("__version")
        draft.assign("dataset.max_token_length", TOKENS)
        draft.config["dataset"].setdefault("caption_extension", ".txt")
        name_unknown(settings, draft, "OneTrainer")

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
            raise UserError(
                f"{self.document.name} is for {OTHER_METHODS.get(method, method)}, which cannot be trained here."
            )
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
            named_document = self.files.named(file, self.document, self.draft)
            if named_document is not None:
                set_concepts(self.draft, named_document.data, named_document.name)
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
        for path, value, entry, name in (
            ("lora.dim", dim, rank, "lora_rank"),
            ("lora.alpha", strength, alpha, "lora_alpha"),
        ):
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
            self.draft.notes.differ(
                Entry("layer_filter", "not set"), "its LoRA covers convolutions then", "lora.conv_dim", dim
            )
        if file := self.settings.take("lora_model_name"):
            self.draft.set("lora.init_file", PurePath(str(file.value).replace("\\", "/")).stem, file,
                           "the name of a LoRA in models/Lora")

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

    def average(self) -> None:
        """An average of the weights, for a whole model alone."""
        ema, decay = self.settings.take("ema"), self.settings.take("ema_decay")
        if str(getattr(ema, "value", "OFF")).upper() == "OFF":
            self.draft.notes.off.extend(entry.key for entry in (ema, decay) if entry)
        elif self.draft.method == "dreambooth":
            self.draft.set("dreambooth.ema_decay", float(self.number("ema_decay", 0.999)), decay or ema)
        elif ema:
            self.draft.notes.refuse(ema, "kept an average of the weights; here for a whole model alone")

    def timesteps(self) -> None:
        """A logit-normal distribution, whose width is 1 more than `noising_weight`; others are uniform here."""
        draft, settings = self.draft, self.settings
        distribution, width, centre = (
            settings.take(key) for key in ("timestep_distribution", "noising_weight", "noising_bias")
        )
        name = str(distribution.value).upper() if distribution else "UNIFORM"
        if name == "LOGIT_NORMAL":
            draft.set("noise.timestep_sampling", "logit_normal", distribution)
            draft.set("noise.logit_std", 1 + self.real(width, 0.0), width, "1 less there")
            draft.set("noise.logit_mean", self.real(centre, 0.5), centre)
            return
        if distribution and name != "UNIFORM":
            draft.notes.refuse(distribution, "drew some timesteps more often; here all alike, or by logit_normal")
        draft.notes.off.extend(entry.key for entry in (distribution, width, centre) if entry and name == "UNIFORM")

    def real(self, entry: Entry | None, default: float) -> float:
        try:
            return float(number(entry.value)) if entry else default
        except ValueError:
            return default

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

    def samples(self) -> None:
        listed, file = self.settings.take("samples"), self.settings.take("sample_definition_file_name")
        if listed and isinstance(listed.value, list):
            set_prompts(self.draft, from_table(listed.value), listed)
        elif file:
            named_document = self.files.named(file, self.document, self.draft)
            if named_document is not None:
                set_prompts(self.draft, from_table(named_document.data), file)
