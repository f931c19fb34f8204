"""EveryDream2trainer's train.json with its optimizer file and validation file (victorchall/EveryDream2trainer at 5098db8).

It trains whole models. What its file leaves out is what its command line does by itself.
"""

from pathlib import PurePath
from typing import Any

from lib_sdtune.settings_import import families
from lib_sdtune.settings_import.checkpoints import set_checkpoint
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect
from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, Entry, flag, fraction, integer, number
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.optimizers import set_arguments, set_optimizer
from lib_sdtune.settings_import.option import Option, apply, name_unknown
from lib_sdtune.settings_import.sample_prompts import from_table, set_prompts
from lib_sdtune.settings_import.schedules import set_schedule
from lib_sdtune.settings_import.sd_scripts.files import entries_of
from lib_sdtune.settings_import.sd_scripts.pictures import set_images
from lib_sdtune.settings_import.sd_scripts.saving import clean
from lib_sdtune.settings_import.steps import total_steps

LEARNING_RATE = 1e-6
DECAY = 1.5  # times the run: the length of its schedules, where the file says none
WARMUP = 0.02  # of that length
LOSSES = {"mse": "l2", "huber": "huber", "mse_huber": "huber"}
PLACES = "chose folders, or what is written there; where files go is fixed here"
MACHINE = "concerned the machine alone and changes no result"

OPTIONS = [
    Option("batch_size", int, 2, "train.batch_size"), Option("grad_accum", int, 1, "train.gradient_accumulation_steps"),
    Option("max_epochs", int, 300, "train.max_train_epochs"), Option("resolution", int, 512, "dataset.resolution"),
    Option("cond_dropout", float, 0.04, "dataset.caption_dropout_rate"),
    Option("shuffle_tags", bool, False, "dataset.shuffle_caption"),
    Option("clip_skip", int, 1, "model.clip_skip", convert=lambda value: max(1, value)),
    Option("clip_grad_norm", float, 0.0, "train.max_grad_norm"),
    Option("gradient_checkpointing", bool, False, "train.gradient_checkpointing",
           convert=lambda value: "on" if value else "off"),
    Option("min_snr_gamma", float, 0.0, "loss.min_snr_gamma"),
    Option("zero_frequency_noise_ratio", float, 0.02, "noise.noise_offset"),
    Option("enable_zero_terminal_snr", bool, False, "noise.zero_terminal_snr"),
    Option("timestep_start", int, 0, "noise.min_timestep"), Option("timestep_end", int, 1000, "noise.max_timestep"),
    Option("save_every_n_epochs", int, 0, "save.every_n_epochs"),
    Option("embedding_perturbation", float, 0.0, how="added noise to the captions' vectors"),
    Option("ckpt_every_n_minutes", float, None, how="saved by the clock; here by epochs or steps"),
    Option("save_ckpts_from_n_epochs", int, 0, how="saved nothing before that epoch"),
    Option("rated_dataset", bool, False, how="left out more of the badly rated pictures with time"),
    Option("rated_dataset_target_dropout_percent", int, 50, how="belonged to rated_dataset"),
    Option("scale_lr", bool, False, how="", group="rates"),
    *[Option(name, str, None, how="kept an average of the weights in another rhythm; dreambooth.ema_decay is the nearest")
      for name in ("ema_decay_rate", "ema_strength_target", "ema_update_interval")],
    *[Option(name, str, None, how="belonged to the average of the weights") for name in (
        "ema_device", "ema_sample_nonema_model", "ema_sample_ema_model", "ema_resume_model")],
    *[Option(name, str, None, how=MACHINE) for name in ("attn_type", "gpuid")],
    *[Option(name, bool, False, how=MACHINE) for name in ("disable_xformers", "lowvram", "load_settings_every_epoch", "notebook")],
    *[Option(name, str, None, how=PLACES) for name in (
        "logdir", "save_ckpt_dir", "run_name", "log_step", "save_optimizer", "wandb", "write_schedule", "save_full_precision")],
    Option("ed1_mode", bool, False, how="read the pictures as an older version did"),
]


@registry.register("EveryDream2")
class EveryDream2(Dialect):
    title, program, order = "EveryDream2", "EveryDream2", 15

    @staticmethod
    def recognises(document: Document) -> bool:
        keys = set(document.table)
        return "resume_ckpt" in keys and bool({"data_root", "max_epochs", "project_name", "cond_dropout"} & keys)

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        draft.program = "EveryDream2"
        settings = entries_of(document.table, document.name)
        optimizer = None
        if entry := settings.take("optimizer_config"):
            optimizer = files.named(entry, document, draft)
        Training(settings, optimizer, document, draft, files).read()


@registry.register("EveryDream2 optimizer")
class EveryDream2Optimizer(Dialect):
    title, program, order, is_part = "EveryDream2's optimizer file", "EveryDream2", 16, True

    @staticmethod
    def recognises(document: Document) -> bool:
        return isinstance(document.table.get("base"), dict) and "optimizer" in document.table["base"]

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        alone = not draft.program
        draft.program = "EveryDream2"
        if alone:
            draft.notes.warnings.append(f"{document.name} has the optimizer alone; the other settings are EveryDream2's "
                                        "defaults. Give its train.json too.")
            Training(entries_of({}, document.name), document, document, draft, files).read()
        else:
            set_learning(draft, document, {}, Entry("scale_lr", False))


@registry.register("EveryDream2 validation")
class EveryDream2Validation(Dialect):
    title, program, order, is_part = "EveryDream2's validation file", "EveryDream2", 17, True

    @staticmethod
    def recognises(document: Document) -> bool:
        return "validate_training" in document.table or "val_split_mode" in document.table

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        from lib_sdtune.errors import UserError

        if not draft.program:
            raise UserError(f"{document.name} is the validation file of EveryDream2; give its train.json too.")
        set_validation(draft, document)


class Training:
    """One train.json: `settings` holds its keys, `optimizer` its optimizer file where that is there."""

    def __init__(self, settings: Entries, optimizer: Document | None, document: Document, draft: Draft, files: Files) -> None:
        self.settings, self.optimizer, self.document, self.draft, self.files = settings, optimizer, document, draft, files

    def read(self) -> None:
        draft, settings = self.draft, self.settings
        draft.config["method"] = "dreambooth"
        draft.assign("model.checkpoint", "")
        draft.assign("model.prediction_type", "auto")
        if entry := settings.take("resume_ckpt"):
            families.check_checkpoint(self.document.name, str(entry.value))
            if str(entry.value).lower() == "findlast":
                draft.notes.refuse(entry, "went on from the newest checkpoint there; give the file")
            else:
                set_checkpoint(draft, entry)
        self.pictures()
        apply(OPTIONS, settings, draft)
        draft.assign("train.max_train_steps", 0)
        draft.assign("dataset.enable_bucket", True)
        draft.assign("dataset.caption_extension", ".txt")
        draft.assign("dataset.max_token_length", 75)
        self.flips()
        self.precision()
        self.loss()
        self.noise()
        self.seed()
        self.learning()
        self.samples()
        if (entry := settings.take("validation_config")) and str(entry.value) not in ("", "None"):
            other = self.files.named(entry, self.document, draft)
            if other is not None:
                set_validation(draft, other)
        self.name()
        name_unknown(settings, draft, "EveryDream2")

    def is_on(self, name: str, default: bool = False) -> bool:
        entry = self.settings.take(name)
        try:
            return flag(entry.value) if entry else default
        except ValueError:
            return default

    def pictures(self) -> None:
        concept: dict[str, Any] = {"repeats": 1}
        if folder := self.settings.take("data_root"):
            concept["images"] = str(folder.value)
            self.draft.notes.differ(folder, "folders in it and multiply.txt changed how often a picture is shown there; here each "
                                            "is shown once", "concepts[0].images", concept["images"])
        self.draft.config["concepts"] = [concept]
        set_images(self.draft)

    def flips(self) -> None:
        """A probability of mirroring there; here half of the time or never."""
        entry = self.settings.take("flip_p")
        try:
            share = fraction(entry.value) if entry else 0.0
        except ValueError:
            share = 0.0
        how = "" if share in (0, 0.5) else f"half of the time here, not {share:g} of it"
        self.draft.set("dataset.flip_aug", share > 0, entry, how)
        self.draft.default("dataset.cache_latents", False, "cache_latents")

    def precision(self) -> None:
        """It trains in mixed half precision, unless it is told not to; the file is half precision."""
        for name in ("disable_amp", "amp"):
            if entry := self.settings.get(name):
                off = self.is_on(name) if name == "disable_amp" else not self.is_on(name)
                self.draft.set("train.mixed_precision", "no" if off else "fp16", entry)
                break
        else:
            self.draft.default("train.mixed_precision", "fp16", "amp")
        self.settings.used.update(("amp", "disable_amp"))
        self.draft.assign("save.precision", "fp16")

    def loss(self) -> None:
        entry = self.settings.take("loss_type")
        kind = str(entry.value).lower() if entry else "mse_huber"
        path, loss = "loss.loss_type", LOSSES.get(kind, "l2")
        how = "a mixture of mse and huber over the timesteps; huber alone here" if kind == "mse_huber" else ""
        self.draft.set(path, loss, entry or Entry("loss_type", "mse_huber by default"), how)

    def noise(self) -> None:
        entry = self.settings.take("pyramid_noise_discount")
        self.draft.assign("noise.multires_noise_iterations", 0)
        if entry:
            self.draft.set("noise.multires_noise_discount", fraction(entry.value), entry)
            self.draft.set("noise.multires_noise_iterations", 6, entry, "as many octaves as fit there")

    def seed(self) -> None:
        entry = self.settings.take("seed")
        if entry and str(entry.value).strip() == "-1":
            self.draft.notes.differ(entry, "a random one for each run there; here train.seed stands")
        elif entry:
            self.draft.set("train.seed", integer(entry.value), entry)

    def learning(self) -> None:
        scale = self.settings.take("scale_lr")
        specific = {name: self.settings.take(name) for name in ("lr", "lr_scheduler", "lr_warmup_steps", "lr_decay_steps")}
        set_learning(self.draft, self.optimizer, specific, scale)
        if self.is_on("useadam8bit"):
            set_optimizer(self.draft, "AdamW8bit", self.settings["useadam8bit"])
        if self.is_on("disable_textenc_training"):
            self.draft.set("dreambooth.text_encoder_lr", 0.0, self.settings["disable_textenc_training"],
                           "0 leaves the text encoder out here")

    def samples(self) -> None:
        """sample_steps are the steps between samples."""
        draft = self.draft
        draft.assign("sample.every_n_epochs", 0)
        entry = self.settings.take("sample_steps")
        draft.set("sample.every_n_steps", integer(entry.value) if entry else 250, entry,
                  "the steps between samples, not of one" if entry else "")
        prompts = self.settings.take("sample_prompts")
        other = self.files.named(prompts, self.document, draft) if prompts else None
        if other is None or prompts is None:
            return
        if other.kind == "script":
            set_prompts(draft, other.text.splitlines(), prompts)
            return
        set_prompts(draft, from_table(other.table.get("samples", other.data)), prompts)
        cfgs, steps = other.table.get("cfgs"), other.table.get("num_inference_steps")
        if isinstance(cfgs, list) and cfgs:
            draft.set("sample.cfg_scale", cfgs[0], Entry("cfgs", cfgs, other.name), "one scale here" if len(cfgs) > 1 else "")
        if steps:
            draft.set("sample.steps", steps, Entry("num_inference_steps", steps, other.name))

    def name(self) -> None:
        entry = self.settings.take("project_name")
        if self.draft.name:
            self.draft.config["name"] = self.draft.name
        elif entry and (name := clean(PurePath(str(entry.value)).name)):
            self.draft.set("name", name, entry)


def set_learning(draft: Draft, optimizer: Document | None, specific: dict[str, Entry | None], scale: Entry | None) -> None:
    """Optimizer, rates, schedule and warm-up, from the optimizer file where the main file says nothing."""
    table = optimizer.table if optimizer else {}
    source = optimizer.name if optimizer else ""
    base, text = (table.get(part) if isinstance(table.get(part), dict) else {} for part in ("base", "text_encoder_overrides"))
    entries = {name: specific.get(name) or (Entry(f"base.{name}", value, source) if (value := base.get(name)) is not None else None)
               for name in ("lr", "lr_scheduler", "lr_warmup_steps", "lr_decay_steps")}
    kind = Entry("base.optimizer", base["optimizer"], source) if base.get("optimizer") else None
    name = set_optimizer(draft, str(kind.value) if kind else "adamw8bit", kind)
    arguments = {{"epsilon": "eps"}.get(key, key): value for key, value in base.items() if value is not None and key in (
        "betas", "epsilon", "weight_decay", "d0", "decouple", "use_bias_correction", "safeguard_warmup", "d_coef", "momentum",
        "nesterov", "growth_rate")}
    set_arguments(draft, arguments, name, Entry("base", arguments, source))
    set_rates(draft, entries["lr"], text, source, scale)
    schedule = entries["lr_scheduler"]
    set_schedule(draft, str(schedule.value) if schedule else "constant", schedule)
    for key in ("lr_scheduler", "optimizer"):
        if text.get(key) not in (None, base.get(key)):
            draft.notes.refuse(Entry(f"text_encoder_overrides.{key}", text[key], source), "was another one for the text encoder; "
                                                                                         "here one for all")
    frozen = table.get("text_encoder_freezing")
    if isinstance(frozen, dict) and frozen.get("unfreeze_last_n_layers"):
        draft.notes.refuse(Entry("unfreeze_last_n_layers", frozen["unfreeze_last_n_layers"], source),
                           "trained the last layers of the text encoder alone")
    set_warmup(draft, entries["lr_warmup_steps"], entries["lr_decay_steps"])


def set_rates(draft: Draft, entry: Entry | None, text: dict[str, Any], source: str, scale: Entry | None) -> None:
    factor = 1.0
    if scale and str(scale.value).lower() in ("true", "1"):
        factor = (draft.get("train.batch_size", 1) * draft.get("train.gradient_accumulation_steps", 1)) ** 0.5
        draft.notes.differ(scale, f"multiplied the rate by the root of batch times accumulation, {factor:g}; done already")
    try:
        rate = fraction(entry.value) if entry else LEARNING_RATE
    except ValueError as error:
        if entry:
            draft.notes.unread(entry, error)
        entry, rate = None, LEARNING_RATE
    if entry:
        draft.set("dreambooth.unet_lr", rate * factor, entry)
    else:
        draft.default("dreambooth.unet_lr", rate * factor, "lr")
    specific = text.get("lr")
    if specific is None and text.get("text_encoder_lr_scale"):
        specific = rate * number(text["text_encoder_lr_scale"])
    if specific is None:
        draft.set("dreambooth.text_encoder_lr", rate * factor, entry)
    else:
        draft.set("dreambooth.text_encoder_lr", fraction(specific) * factor, Entry("text_encoder_overrides.lr", specific, source))


def set_warmup(draft: Draft, warmup: Entry | None, decay: Entry | None) -> None:
    """Steps; without any, 2 % of the schedule's length, which is one and a half times the run."""
    length = number(decay.value) if decay else 0
    if length >= 1 and decay and draft.get("train.lr_scheduler") not in ("constant", "constant_with_warmup"):
        draft.notes.refuse(decay, "was the length of the schedule; here it is the run's")
    elif decay:
        draft.notes.off.append(decay.key)
    draft.assign("train.lr_warmup_steps", 0)
    if warmup:
        draft.set("train.lr_warmup_steps", integer(warmup.value), warmup)
    elif draft.get("train.lr_scheduler") != "constant":
        total = total_steps(draft)
        path, steps = "train.lr_warmup_steps", length if length >= 1 else total * DECAY if total else 0
        draft.set(path, int(steps * WARMUP), Entry("lr_warmup_steps", "not set"),
                  "2 % of the schedule's length" + ("" if steps else "; it becomes steps when the pictures are there (--images)"))


def set_validation(draft: Draft, document: Document) -> None:
    """A share of the pictures, or a folder of their own."""
    facts = entries_of(document.table, document.name)
    on = facts.take("validate_training")
    mode, share, folder = (facts.take(name) for name in ("val_split_mode", "auto_split_proportion", "manual_data_root"))
    if on is not None and str(on.value).lower() != "true":
        draft.notes.off.append(on.key)
    elif mode and str(mode.value) == "manual" and folder:
        draft.set("validation.images", str(folder.value), folder)
    else:
        draft.set("validation.split", fraction(share.value) if share else 0.15, share)
    for _, entry in facts.unused():
        draft.notes.off.append(entry.key)
