"""The JSON that bmaltais' kohya_ss GUI saves and ships as presets."""

import math
from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.settings_import import command_lines, families
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect, add
from lib_sdtune.settings_import.documents import Document, flat
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, Entry, number
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.option import apply
from lib_sdtune.settings_import.sd_scripts.files import entries_of, follow
from lib_sdtune.settings_import.sd_scripts.kohya_gui import (
    NETWORK_ARGUMENTS,
    ONLY_WITH_LYCORIS,
    PAGES,
    RENAMED,
    TYPES,
)
from lib_sdtune.settings_import.sd_scripts.kohya_gui_defaults import OF_PAGE, WARM_UP, absent
from lib_sdtune.settings_import.sd_scripts.lengths import Share
from lib_sdtune.settings_import.sd_scripts.options import BY_NAME

SIGNS = {"LoRA_type", "max_resolution", "lr_warmup", "noise_offset_type", "additional_parameters", "model_list",
         "stop_text_encoder_training_pct", "lora_network_weights", "sdxl_checkbox", "LyCORIS_preset", "train_dir"}
FINE_TUNING = ("train_text_encoder", "image_folder", "caption_metadata_filename", "create_buckets")
EMBEDDING = ("token_string", "init_word", "num_vectors_per_token")
START_VALUES = ("dataset_preparation", "wd14_caption", "configuration", "server")


@registry.register("kohya_ss GUI")
class KohyaGui(Dialect):
    title, order = "kohya_ss GUI", 40

    @staticmethod
    def recognises(document: Document) -> bool:
        keys = set(flat(document.table))
        signs = SIGNS & keys
        return len(signs) >= 2 or (bool(signs) and "optimizer" in keys) or (
            "optimizer" in keys and "train_batch_size" in keys and "epoch" in keys)

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        draft.program = "kohya_ss"
        table = {key: value for key, value in flat(document.table).items() if not isinstance(value, dict)}
        for section in START_VALUES:
            for key in document.table.get(section, {}) if isinstance(document.table.get(section), dict) else ():
                table.pop(key, None)
        page = entries_of(table, document.name)
        families.check_options(document.name, page)
        Reader(document, draft, page).read()
        families.check_options(document.name, draft.options)
        follow(document, draft, files)


class Reader:
    """One page's file: `page` holds what stands in it, under the GUI's names."""

    def __init__(self, document: Document, draft: Draft, page: Entries) -> None:
        self.document, self.draft, self.page = document, draft, page
        self.flags = self.additional_parameters()

    def read(self) -> None:
        page, draft = self.page, self.draft
        if page.is_on("sdxl") or page.is_on("sdxl_checkbox"):
            draft.sdxl = True
        draft.script = self.script()
        defaults = absent(draft.script, page)
        draft.defaults = {RENAMED.get(name, name): value for name, value in defaults.items()}
        if draft.script in ("fine_tune", "sdxl_train"):
            self.always_in_buckets()
        if draft.script == "train_network":
            self.network()
        self.rates()
        self.lengths()
        self.noise()
        for name, entry in list(page.unused()):
            if name in BY_NAME or name in RENAMED:
                page.used.add(name)
                self.pass_on(RENAMED.get(name, name), entry)
        if (folder := page.take("image_folder")) is not None:
            self.record("train_data_dir", folder.value, folder.key)
            self.record("in_json", page["image_folder"].value, "image_folder")
        for name, entry in self.flags.items():
            add(draft, name, entry)
        apply(PAGES, page, draft)
        page.used.update(option.name for option in PAGES)
        for name, entry in list(page.unused()):
            if name not in draft.options:
                draft.options[name] = entry

    def always_in_buckets(self) -> None:
        """The page for fine-tuning has no such switch and passes it on as on, whatever a file says."""
        entry = self.page.take("enable_bucket")
        self.draft.defaults["enable_bucket"] = True
        if entry and not self.page.is_on("enable_bucket"):
            self.draft.notes.differ(entry, "that page always sorts pictures into buckets", "dataset.enable_bucket",
                                    True)
        elif "enable_bucket" in self.page:
            self.draft.notes.off.append("enable_bucket")

    def record(self, name: str, value: Any, key: str) -> None:
        self.draft.options.record(name, value, key, self.document.name)

    def pass_on(self, name: str, entry: Entry) -> None:
        """An option with sd-scripts' meaning; empty, false and 0 are left out, as the GUI leaves them out."""
        if not is_left_out(entry.value):
            self.draft.options[name] = entry
            return
        option = BY_NAME[name]
        if (
            option.to
            and option.default
            and option.kind in (int, float)
            and str(entry.value).strip() not in ("", "None", "False")
        ):
            self.draft.notes.differ(entry, f"0 is left out there, so it is sd-scripts' default, {option.default}")
        else:
            self.draft.notes.off.append(entry.key)

    def additional_parameters(self) -> Entries:
        """Flags in free text, which go before everything else."""
        entry = self.page.take("additional_parameters")
        result = Entries()
        if entry is None:
            return result
        for name, values in command_lines.flags(command_lines.words(str(entry.value))).items():
            result.record(name, values, f"additional_parameters --{name}", self.document.name)
        return result

    def script(self) -> str:
        """Which script the page starts."""
        page = self.page
        if page.get("LoRA_type") or page.get("network_dim") or page.get("lora_network_weights"):
            return "train_network"
        if any(name in page for name in EMBEDDING):
            return "train_textual_inversion"
        fine_tuning = any(name in page for name in FINE_TUNING)
        return ("sdxl_train" if self.draft.sdxl else "fine_tune") if fine_tuning else "train_db"

    def network(self) -> None:
        """LoRA_type with the keys of its page as network_module and network_args."""
        kind = self.page.take("LoRA_type")
        text = str(kind.value).strip() if kind else "Standard"
        families.check_word(self.document.name, text)
        if text.lower() not in TYPES:
            raise UserError(f"{self.document.name}: LoRA_type is {text}, which is not known here.")
        module, algo = TYPES[text.lower()]
        arguments = {"algo": algo} if module == "lycoris.kohya" else {}
        for name, argument in NETWORK_ARGUMENTS.items():
            entry = self.page.take(name)
            if name not in self.page:
                continue
            if entry is None or not self.counts(name, module, algo):
                self.draft.notes.off.append(name)
            else:
                arguments[argument] = entry.value
        self.draft.options.record(
            "network_module", module, "LoRA_type", self.document.name, text if kind else "not set"
        )
        self.record("network_args", arguments, "network arguments")

    @staticmethod
    def counts(name: str, module: str, algo: str) -> bool:
        """Whether a key of the page has a meaning for that kind of network."""
        lycoris = module == "lycoris.kohya"
        if name in ("conv_dim", "conv_alpha"):
            return lycoris or algo == "convolutions"
        return lycoris or name not in ONLY_WITH_LYCORIS and name != "unit"

    def rates(self) -> None:
        """Two rates of which 0 means "not set", but beside the other one "leave that part out"."""
        if self.draft.script != "train_network":
            return
        unet, text = (self.rate(name) for name in ("unet_lr", "text_encoder_lr"))
        for name, specific, other, switch in (("unet_lr", unet, text, "network_train_text_encoder_only"),
                                         ("text_encoder_lr", text, unet, "network_train_unet_only")):
            entry = self.page.get(name)
            if specific and entry:
                self.draft.options[name] = entry
            elif other and entry and specific == 0:
                self.draft.options.record(
                    switch, True, f"{name} {entry.value} beside the other one", self.document.name
                )
            elif entry:
                self.draft.notes.off.append(name)

    def rate(self, name: str) -> float | None:
        entry = self.page.take(name)
        try:
            return float(number(entry.value)) if entry else 0.0 if name in self.page else None
        except (ValueError, TypeError):
            return 1.0  # a list, or a text that is told later

    def lengths(self) -> None:
        """Epochs count where there are no steps; the warm-up and the stop of the text encoder are percentages."""
        page = self.page
        steps, epochs, most = (self.count(name) for name in ("max_train_steps", "epoch", "max_train_epochs"))
        if most:
            self.draft.options["max_train_epochs"] = page["max_train_epochs"]
            if "epoch" in page:
                self.draft.notes.off.append("epoch")
        elif steps:
            if epochs:
                self.draft.notes.differ(page["epoch"], f"max_train_steps counts instead: {steps}")
        elif epochs and (entry := page.get("dataset_config")) and not entry.is_unset:
            self.draft.notes.differ(
                page["epoch"], "has no meaning with dataset_config there: sd-scripts' 1600 steps count"
            )
        elif epochs:
            self.draft.options["max_train_epochs"] = page["epoch"]
        if steps:
            self.draft.options["max_train_steps"] = page["max_train_steps"]
        warmup, percent = self.count("lr_warmup_steps"), self.number("lr_warmup")
        if warmup:
            self.draft.options["lr_warmup_steps"] = page["lr_warmup_steps"]
        elif percent:
            self.warm_up(Share(percent / 100))
        elif not {"lr_warmup", "lr_warmup_steps"} & set(page) and self.draft.script in OF_PAGE:
            self.assume_warm_up()
        for name in ("stop_text_encoder_training", "stop_text_encoder_training_pct"):
            if (share := self.number(name)) is not None:
                self.record("stop_text_encoder_training", Share(share / 100) if share else "", name)

    def assume_warm_up(self) -> None:
        """The page's own, which it puts at 0 for the schedule constant."""
        schedule = self.page.get("lr_scheduler_type") or self.page.get("lr_scheduler")
        if schedule is None or str(schedule.value).strip() != "constant":
            share = Share(WARM_UP / 100)
            self.draft.options.record("lr_warmup_steps", share, "lr_warmup", self.document.name,
                                      f"not in the file, so {share}")

    def warm_up(self, share: Share) -> None:
        if str(getattr(self.page.get("lr_scheduler"), "value", "")).strip() == "constant":
            self.draft.notes.differ(Entry("lr_warmup", share), "left out there, for constant takes no warm-up")
        else:
            self.record("lr_warmup_steps", share, "lr_warmup")

    def number(self, name: str) -> float | None:
        entry = self.page.take(name)
        try:
            return float(number(entry.value)) if entry else None
        except ValueError:
            return None

    def count(self, name: str) -> int:
        return math.floor(self.number(name) or 0)

    def noise(self) -> None:
        """noise_offset_type decides which of the two kinds of noise is in force."""
        kind = self.page.take("noise_offset_type")
        multires = kind is not None and str(kind.value).strip().lower().startswith("multires")
        idle = ("noise_offset", "adaptive_noise_scale", "noise_offset_random_strength") if multires else (
            "multires_noise_iterations", "multires_noise_discount")
        for name in idle:
            entry = self.page.take(name)
            if entry is not None and not is_left_out(entry.value):
                self.draft.notes.differ(entry, f"not in force there, for noise_offset_type is "
                                               f"{kind.value if kind else 'Original'}")
            elif name in self.page:
                self.draft.notes.off.append(name)


def is_left_out(value: Any) -> bool:
    """Whether the GUI passes a value on to sd-scripts at all."""
    try:
        return value in ("", None, [], {}) or number(value) == 0
    except (ValueError, TypeError):
        return str(value).strip().lower() in ("", "none", "false")
