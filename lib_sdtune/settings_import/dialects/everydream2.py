"""EveryDream2trainer's train.json with its optimizer file and validation file (victorchall/EveryDream2trainer at
5098db8).

It trains whole models. What its file leaves out is what its command line does by itself.
"""

from pathlib import PurePath
from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.settings_import import families
from lib_sdtune.settings_import.checkpoints import set_checkpoint
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect
from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, Entry, fraction, integer
from lib_sdtune.settings_import.everydream2 import LOSSES, OPTIONS
from lib_sdtune.settings_import.everydream2_learning import set_learning
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.optimizers import set_optimizer
from lib_sdtune.settings_import.option import apply, name_unknown
from lib_sdtune.settings_import.reader import Reader
from lib_sdtune.settings_import.sample_prompts import from_table, set_prompts
from lib_sdtune.settings_import.sd_scripts.files import entries_of
from lib_sdtune.settings_import.sd_scripts.pictures import set_images
from lib_sdtune.settings_import.sd_scripts.saving import clean


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
            draft.notes.warnings.append(
                f"{document.name} has the optimizer alone; the other settings are EveryDream2's "
                "defaults. Give its train.json too."
            )
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
        if not draft.program:
            raise UserError(f"{document.name} is the validation file of EveryDream2; give its train.json too.")
        set_validation(draft, document)


class Training(Reader):
    """One train.json with its optimizer file, where that is there."""

    def __init__(
        self, settings: Entries, optimizer: Document | None, document: Document, draft: Draft, files: Files
    ) -> None:
        super().__init__(settings, document, draft, files)
        self.optimizer = optimizer

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
            named_document = self.files.named(entry, self.document, draft)
            if named_document is not None:
                set_validation(draft, named_document)
        self.name()
        name_unknown(settings, draft, "EveryDream2")

    def pictures(self) -> None:
        concept: dict[str, Any] = {"repeats": 1}
        if folder := self.settings.take("data_root"):
            concept["images"] = str(folder.value)
            self.draft.notes.differ(
                folder,
                "folders in it and multiply.txt changed how often a picture is shown there; here each is shown once",
                "concepts[0].images",
                concept["images"],
            )
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
        entry = self.draft.readable(self.settings.take("pyramid_noise_discount"), fraction)
        self.draft.assign("noise.multires_noise_iterations", 0)
        if entry:
            self.draft.set("noise.multires_noise_discount", fraction(entry.value), entry)
            self.draft.set("noise.multires_noise_iterations", 6, entry, "as many octaves as fit there")

    def seed(self) -> None:
        entry = self.draft.readable(self.settings.take("seed"), integer)
        if entry and str(entry.value).strip() == "-1":
            self.draft.notes.differ(entry, "a random one for each run there; here train.seed stands")
        elif entry:
            self.draft.set("train.seed", integer(entry.value), entry)

    def learning(self) -> None:
        scale = self.settings.take("scale_lr")
        specific = {
            name: self.settings.take(name) for name in ("lr", "lr_scheduler", "lr_warmup_steps", "lr_decay_steps")
        }
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
        entry = draft.readable(self.settings.take("sample_steps"), integer)
        draft.set("sample.every_n_steps", integer(entry.value) if entry else 250, entry,
                  "the steps between samples, not of one" if entry else "")
        prompts = self.settings.take("sample_prompts")
        named_document = self.files.named(prompts, self.document, draft) if prompts else None
        if named_document is None or prompts is None:
            return
        if named_document.kind == "script":
            set_prompts(draft, named_document.text.splitlines(), prompts)
            return
        set_prompts(draft, from_table(named_document.table.get("samples", named_document.data)), prompts)
        cfgs, steps = named_document.table.get("cfgs"), named_document.table.get("num_inference_steps")
        if isinstance(cfgs, list) and cfgs:
            draft.set("sample.cfg_scale", cfgs[0], Entry("cfgs", cfgs, named_document.name),
                      "one scale here" if len(cfgs) > 1 else "")
        if steps:
            draft.set("sample.steps", steps, Entry("num_inference_steps", steps, named_document.name))

    def name(self) -> None:
        entry = self.settings.take("project_name")
        if self.draft.name:
            self.draft.config["name"] = self.draft.name
        elif entry and (name := clean(PurePath(str(entry.value)).name)):
            self.draft.set("name", name, entry)


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
        share = draft.readable(share, fraction)
        draft.set("validation.split", fraction(share.value) if share else 0.15, share)
    for _, entry in facts.unused():
        draft.notes.off.append(entry.key)
