"""The YAML of ostris' ai-toolkit (at 27a03a91): a job with processes, of which the first one trains."""

from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.settings_import import families
from lib_sdtune.settings_import.ai_toolkit import ARCHITECTURES, LEARNING_RATE, METHODS, NETWORKS, OPTIONS, PRECISIONS
from lib_sdtune.settings_import.ai_toolkit_pictures import set_pictures
from lib_sdtune.settings_import.checkpoints import set_checkpoint
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect
from lib_sdtune.settings_import.documents import Document, flat
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry, fraction, integer, number
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.optimizers import pairs, set_arguments, set_optimizer
from lib_sdtune.settings_import.option import apply, name_unknown
from lib_sdtune.settings_import.reader import Reader
from lib_sdtune.settings_import.sample_prompts import set_prompts
from lib_sdtune.settings_import.schedules import set_schedule
from lib_sdtune.settings_import.sd_scripts.files import entries_of


@registry.register("ai-toolkit")
class AiToolkit(Dialect):
    title, program, order = "ai-toolkit", "ai-toolkit", 15

    @staticmethod
    def recognises(document: Document) -> bool:
        return "job" in document.table and isinstance(document.table.get("config"), dict)

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        draft.program = "ai-toolkit"
        Job(document, draft, files).read()


class Job(Reader):
    """The first process of a job: `settings` holds every key, those of groups as "train.lr"."""

    def __init__(self, document: Document, draft: Draft, files: Files) -> None:
        config = document.table["config"]
        self.process = process_of(document, config, draft)
        self.kind = str(self.process.get("type", ""))
        check_kind(document, self.process, self.kind)
        listed = self.process.get("datasets")
        self.datasets = [table for table in listed if isinstance(table, dict)] if isinstance(listed, list) else []
        groups = {key: value for key, value in self.process.items() if key not in ("datasets", "type", "logging")}
        super().__init__(entries_of(flat(groups, deep=True), document.name), document, draft, files)
        self.settings.record("name", config.get("name"), "config.name", document.name)

    def read(self) -> None:
        draft, settings = self.draft, self.settings
        self.model()
        draft.config["method"] = "lora" if "network" in self.process else METHODS[self.kind] if METHODS[
            self.kind] != "lora" else "dreambooth"
        set_pictures(self, self.datasets)
        apply(OPTIONS, settings, draft)
        self.network()
        self.rates()
        self.optimizer()
        self.precision()
        self.length()
        self.samples()
        self.embedding()
        self.set_name(settings.take("name"), "made fit for a file name")
        self.average()
        self.trigger()
        draft.assign("save.every_n_epochs", 0)
        name_unknown(settings, draft, "ai-toolkit")

    def model(self) -> None:
        """The family, the checkpoint and what it predicts. UserError for another family."""
        name = self.document.name
        architecture = str(self.value("model.arch", "")).lower()
        families.check_word(name, architecture)
        if architecture not in ARCHITECTURES:
            families.refuse(name, architecture)
        for key, family in (("is_flux", "FLUX"), ("is_v3", "SD3"), ("is_pixart", "PixArt"), ("is_auraflow", "AuraFlow"),
                            ("is_lumina2", "Lumina")):
            if self.is_on(f"model.{key}"):
                families.refuse(name, family)
        checkpoint = self.settings.take("model.name_or_path")
        if checkpoint:
            families.check_checkpoint(name, str(checkpoint.value))
        if str(self.value("train.noise_scheduler", "")).lower() == "flowmatch":
            families.refuse(name, "a model that is trained by flow matching")
        self.draft.assign("model.checkpoint", "")
        if checkpoint:
            set_checkpoint(self.draft, checkpoint)
        self.draft.sdxl = True if self.is_on("model.is_xl") or architecture in ("sdxl", "ssd", "vega") else None
        self.draft.assign("model.prediction_type", "auto")
        if self.is_on("model.is_v_pred"):
            self.draft.set("model.prediction_type", "v_prediction", self.settings["model.is_v_pred"])
        self.settings.used.update(f"model.{key}" for key in ("is_v2", "is_xl", "is_v_pred"))

    def network(self) -> None:
        if self.draft.method != "lora":
            return
        draft = self.draft
        kind = self.settings.take("network.type")
        name = str(kind.value).lower() if kind else "lora"
        if name in NETWORKS:
            draft.set("lora.network", NETWORKS[name], kind)
        else:
            draft.assign("lora.network", "lora")
            draft.notes.refuse(
                kind or Entry("network.type", name), "cannot be trained here; CONFIG trains a LoRA instead"
            )
        rank, alpha = self.settings.take("network.linear") or self.settings.take("network.rank"), self.settings.take(
            "network.linear_alpha") or self.settings.take("network.alpha")
        for path, entry, default, read in (("lora.dim", rank, 4, integer), ("lora.alpha", alpha, 1.0, fraction)):
            try:
                value = read(entry.value) if entry else default
            except ValueError as error:
                if entry:
                    draft.notes.unread(entry, error)
                entry, value = None, default
            if entry:
                draft.set(path, value, entry)
            else:
                draft.default(path, value, f"network.{path[5:]}")
        conv, conv_alpha = (draft.readable(self.settings.take(f"network.{name}"), number)
                            for name in ("conv", "conv_alpha"))
        draft.set("lora.conv_dim", int(number(conv.value)) if conv else 0, conv)
        draft.set("lora.conv_alpha", float(number(conv_alpha.value)) if conv_alpha else float(
            draft.get("lora.conv_dim")) or 1.0, conv_alpha)

    def rates(self) -> None:
        """The UNet is trained and the text encoder is not, unless the file says otherwise."""
        draft, method = self.draft, self.draft.method
        common = self.settings.take("train.lr")
        if method == "textual_inversion":
            self.rate("textual_inversion.lr", self.settings.take("train.embedding_lr") or common)
            return
        self.rate(f"{method}.unet_lr", self.settings.take("train.unet_lr") or common)
        self.rate(f"{method}.text_encoder_lr", self.settings.take("train.text_encoder_lr") or common)
        unet, text = self.settings.take("train.train_unet"), self.settings.take("train.train_text_encoder")
        if not self.is_on("train.train_unet", True):
            draft.set(f"{method}.unet_lr", 0.0, unet, "0 leaves the UNet out here")
        if not self.is_on("train.train_text_encoder", False):
            draft.set(f"{method}.text_encoder_lr", 0.0, text or Entry("train.train_text_encoder", "false by default"),
                      "0 leaves the text encoder out here")

    def rate(self, path: str, entry: Entry | None) -> None:
        value = self.fraction(entry)
        if value is None:
            self.draft.assign(path, LEARNING_RATE)
        else:
            self.draft.set(path, value, entry)

    def optimizer(self) -> None:
        draft = self.draft
        entry = self.settings.take("train.optimizer")
        name = str(entry.value) if entry else "adamw"
        optimizer = set_optimizer(draft, name, entry)
        prefix = "train.optimizer_params."
        arguments = {key.removeprefix(prefix): self.value(key) for key in self.settings if key.startswith(prefix)}
        set_arguments(
            draft, pairs(arguments), optimizer, Entry("train.optimizer_params", arguments, self.document.name)
        )
        schedule = self.settings.take("train.lr_scheduler")
        set_schedule(draft, str(schedule.value) if schedule else "constant", schedule)
        parameters = {key: self.value(key) for key in self.settings if key.startswith("train.lr_scheduler_params.")}
        draft.assign("train.lr_warmup_steps", 0)
        for key, value in parameters.items():
            if key.endswith(("num_warmup_steps", "warmup_steps")):
                if entry := draft.readable(self.settings[key], integer):
                    draft.set("train.lr_warmup_steps", integer(value), entry)
            else:
                draft.notes.refuse(self.settings[key], "was an argument of the schedule")

    def precision(self) -> None:
        for name, path, default in (("train.dtype", "train.mixed_precision", "fp32"),
                                    ("save.dtype", "save.precision", "float16")):
            entry = self.settings.take(name)
            value = PRECISIONS[path].get(str(entry.value).lower() if entry else default)
            if value is None and entry:
                self.draft.notes.refuse(entry, "a number format that is not known here")
            elif entry:
                self.draft.set(path, value, entry)
            else:
                self.draft.default(path, value, name)

    def length(self) -> None:
        """Steps are updates with gradient_accumulation, and micro-steps with the older gradient_accumulation_steps."""
        draft = self.draft
        steps, new, old = (self.settings.take(f"train.{name}") for name in (
            "steps", "gradient_accumulation", "gradient_accumulation_steps"))
        total = self.integer(steps, 1000)
        accumulation = self.integer(old, 1)
        if accumulation > 1 and old:
            draft.set("train.gradient_accumulation_steps", accumulation, old)
            draft.set("train.max_train_steps", max(1, total // accumulation), steps,
                      f"micro-steps there: divided by {accumulation}")
        else:
            draft.set("train.gradient_accumulation_steps", self.integer(new, 1), new or old)
            if steps:
                draft.set("train.max_train_steps", total, steps)
            else:
                draft.default("train.max_train_steps", total, "train.steps")
        draft.assign("train.max_train_epochs", 0)

    def samples(self) -> None:
        draft = self.draft
        every = self.settings.take("sample.sample_every")
        draft.assign("sample.every_n_epochs", 0)
        if self.is_on("train.disable_sampling"):
            draft.set("sample.every_n_steps", 0, self.settings["train.disable_sampling"])
        elif "sample" in self.process:
            draft.set("sample.every_n_steps", self.integer(every, 100), every)
        prompts = self.settings.take("sample.prompts") or self.settings.take("sample.samples")
        negative = self.settings.take("sample.neg")
        lines = [str(line.get("prompt", "")) if isinstance(line, dict) else str(line)
                 for line in (prompts.value if prompts and isinstance(prompts.value, list) else [])]
        if negative and lines:
            draft.notes.differ(negative, "put behind each prompt as --n")
            lines = [line if " --n " in line else f"{line} --n {negative.value}" for line in lines]
        word = self.settings.get("trigger_word")
        if word and not word.is_unset:
            lines = [line.replace("[trigger]", str(word.value)) for line in lines]
        set_prompts(draft, lines, prompts)

    def embedding(self) -> None:
        if self.draft.method != "textual_inversion":
            return
        for name, path, kind in (("trigger", "token", str), ("init_words", "init_text", str),
                                 ("tokens", "num_vectors_per_token", integer), ("save_format", "save_model_as", str)):
            entry = self.draft.readable(self.settings.take(f"embedding.{name}"), kind)
            if entry:
                self.draft.set(f"textual_inversion.{path}", kind(entry.value), entry)
            elif name == "tokens":
                self.draft.default("textual_inversion.num_vectors_per_token", 4, "embedding.tokens")

    def average(self) -> None:
        """An average of the weights, for a whole model alone."""
        average = self.is_on("train.ema_config.use_ema")
        decay = self.draft.readable(self.settings.take("train.ema_config.ema_decay"), fraction)
        if average and self.draft.method == "dreambooth":
            self.draft.set("dreambooth.ema_decay", fraction(decay.value) if decay else 0.99, decay)
        elif average:
            self.draft.notes.refuse(self.settings["train.ema_config.use_ema"],
                                    "kept an average of the weights; here for a whole model alone")
        elif decay:
            self.draft.notes.off.append(decay.key)

    def trigger(self) -> None:
        """The word is put in front of captions there; captions on the disk stay as they are here."""
        entry = self.settings.take("trigger_word")
        if entry is None:
            return
        for concept in self.draft.config["concepts"]:
            concept.setdefault("prompt", str(entry.value))
        self.draft.notes.differ(
            entry,
            "put in front of captions that lack it, and in the place of [trigger]; here captions stay "
            "as they are, write it into them",
            "concepts[].prompt",
            entry.value,
        )


def process_of(document: Document, config: dict[str, Any], draft: Draft) -> dict[str, Any]:
    """The first process. UserError where there is none."""
    listed = config.get("process")
    processes = [process for process in listed if isinstance(process, dict)] if isinstance(listed, list) else []
    if not processes:
        if str(document.table.get("job")) not in ("extension", "train"):
            raise UserError(f"{document.name} is a job of ai-toolkit that trains nothing: {document.table.get('job')}.")
        raise UserError(f"{document.name} has no process, so it trains nothing.")
    if len(processes) > 1:
        draft.notes.warnings.append(f"{document.name} has {len(processes)} processes; the first is taken alone.")
    return processes[0]


def check_kind(document: Document, process: dict[str, Any], kind: str) -> None:
    """UserError for jobs that train no LoRA, model or embedding."""
    name = document.name
    if "slider" in kind or "slider" in process:
        families.refuse(name, "a slider")
    if str(document.table["job"]) not in ("extension", "train"):
        raise UserError(f"{name} is a job of ai-toolkit that trains nothing: {document.table['job']}.")
    if kind not in METHODS:
        raise UserError(f"{name}: the process {kind or 'without a type'} of ai-toolkit is not known here.")
