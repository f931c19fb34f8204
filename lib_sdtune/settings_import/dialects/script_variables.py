"""The variables at the top of lora-scripts' train.ps1 and train.sh, and of its forks; the script is never executed.

What follows the variables differs from fork to fork, so what it passes besides them is told as an assumption.
"""

from typing import Any

from lib_sdtune.settings_import import command_lines, families
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect, add
from lib_sdtune.settings_import.dialects.sd_scripts_config import DISTINCT
from lib_sdtune.settings_import.documents import Document, flat
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry, is_secret
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.sd_scripts.files import follow, prompts
from lib_sdtune.settings_import.sd_scripts.lora_scripts import FIXED, NOT_PASSED, PRODIGY, SIGNS, VARIABLES

ON = ("1", "$true", "true")
NETWORK = ("algo", "conv_dim", "conv_alpha", "dropout")
BLOCKS = ("down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_dims", "block_alphas")


@registry.register("lora-scripts variables")
class ScriptVariables(Dialect):
    title, order = "lora-scripts' script variables", 60

    @staticmethod
    def recognises(document: Document) -> bool:
        if document.kind != "script":
            return False
        names = set(command_lines.assignments(document.text))
        return len(SIGNS & names) >= 4 or "config_file" in names and not (DISTINCT & names)

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        draft.program = "lora-scripts"
        draft.script = draft.script or "train_network"
        Variables(document, draft, files).read()
        families.check_options(document.name, draft.options)
        follow(document, draft, files)


class Variables:
    """The assignments of one script."""

    def __init__(self, document: Document, draft: Draft, files: Files) -> None:
        self.document, self.draft, self.files = document, draft, files
        self.texts = command_lines.assignments(document.text)
        self.used: set[str] = set()

    def read(self) -> None:
        self.model_kind()
        if entry := self.entry("config_file"):
            self.config(entry)
        else:
            self.fixed()
        for name, option in VARIABLES.items():
            entry = self.entry(name)
            if entry is not None and name in NOT_PASSED and entry.value == "0":
                self.draft.notes.off.append(entry.key)
            elif entry is not None:
                add(self.draft, option, entry)
        self.network()
        self.optimizer()
        self.samples()
        self.name_rest()

    def entry(self, name: str) -> Entry | None:
        """The variable; what would have to be computed is told and left out."""
        text = self.texts.get(name)
        if text is None or name in self.used:
            return None
        self.used.add(name)
        entry = Entry(f"${name}", command_lines.unquoted(text), self.document.name)
        if not command_lines.is_plain(text) and not is_secret(name):
            filled = command_lines.filled(text, self.texts)
            self.draft.notes.refuse(entry, f"is computed by the script ({filled}); set it yourself")
            return None
        return None if entry.is_unset else entry

    def is_on(self, name: str) -> bool:
        return command_lines.unquoted(self.texts.get(name, "")).lower() in ON

    def model_kind(self) -> None:
        """Which script the variables go to, and which family."""
        kind = self.entry("model_type") or self.entry("model")
        value = str(kind.value).lower() if kind else ""
        families.check_word(self.document.name, value)
        if "sdxl" in value or self.is_on("sdxl"):
            self.draft.sdxl = True
        if value.endswith("db"):
            self.draft.script = "train_db"
        if kind:
            self.draft.notes.off.append(kind.key)
        if value.startswith("sd2") and (skip := self.entry("clip_skip")):
            self.draft.notes.differ(skip, "passed for SD1.5 alone")

    def config(self, entry: Entry) -> None:
        named_document = self.files.named(entry, self.document, self.draft)
        if named_document is not None:
            for key, value in flat(named_document.table).items():
                add(self.draft, key, Entry(key, value, named_document.name))

    def fixed(self) -> None:
        """What the script passes besides the variables."""
        if self.entry("random_seed") and self.is_on("random_seed"):
            self.draft.notes.differ(Entry("$random_seed", "true"), "a new seed for each run; here train.seed stands")
        for name, value in FIXED.items():
            self.draft.options.record(name, value, f"the script's fixed {name}", self.document.name)
        self.draft.notes.warnings.append("What the script passes besides its variables is assumed to be as in "
                                         f"Akegarasu's: {', '.join(FIXED)}; forks differ.")

    def network(self) -> None:
        """algo, conv_dim, conv_alpha and dropout count with LyCORIS alone, in forks with a switch of their own."""
        switch = next((name for name in ("enable_lycoris_train", "enable_lycoris") if name in self.texts), "")
        module = self.draft.options.get("network_module")
        lycoris = self.is_on(switch) if switch else module is not None and "lycoris" in str(module.value)
        if switch:
            self.used.add(switch)
            self.draft.notes.off.append(f"${switch}")
            if lycoris:
                self.draft.options.record("network_module", "lycoris.kohya", f"${switch}", self.document.name)
        arguments: dict[str, Any] = {}
        for name in NETWORK:
            entry = self.entry(name)
            if entry and lycoris:
                arguments[name] = entry.value
            elif entry:
                self.draft.notes.off.append(entry.key)
        blocks = [name for name in ("enable_block_weights", "block_weight_lr", "enable_block_dim", "block_weight_dim")
                  if self.is_on(name)]
        self.used.update(("enable_block_weights", "block_weight_lr", "enable_block_dim", "block_weight_dim"))
        for name in BLOCKS:
            entry = self.entry(name)
            counted = any(("dim" in switch) == ("lr" not in name) for switch in blocks)
            if entry and counted:
                arguments[name] = entry.value
            elif entry:
                self.draft.notes.off.append(entry.key)
        if self.is_on("enable_dylora_train"):
            self.draft.options.record("network_module", "networks.dylora", "$enable_dylora_train", self.document.name)
        if arguments:
            self.draft.options.record("network_args", arguments, "network arguments", self.document.name)

    def optimizer(self) -> None:
        arguments = {argument: entry.value for name, argument in PRODIGY.items() if (entry := self.entry(name))}
        chosen = self.draft.options.get("optimizer_type")
        kind = str(chosen.value).lower() if chosen else ""
        if kind.startswith("dadapt"):
            arguments["decouple"] = True
            self.draft.notes.warnings.append(
                f"{chosen}: some forks of the script set all rates to 1 and the schedule to "
                "constant then, whatever the variables say."
            )
        if arguments and (kind.startswith(("prodigy", "dadapt"))):
            self.draft.options.record("optimizer_args", arguments, "optimizer arguments", self.document.name)

    def samples(self) -> None:
        """Samples count where the fork's switch is on, or where there is none."""
        switch = next((name for name in ("enable_sample", "output_sample") if name in self.texts), "")
        every, steps = self.entry("sample_every_n_epochs"), self.entry("sample_every_n_steps")
        file = self.entry("prompt_file") or self.entry("sample_prompts")
        sampler = self.entry("sampler") or self.entry("sample_sampler")
        self.used.add(switch)
        for name, entry in (
            ("sample_every_n_epochs", every),
            ("sample_every_n_steps", steps),
            ("sample_sampler", sampler),
        ):
            if entry and (not switch or self.is_on(switch)):
                self.draft.options[name] = entry
            elif entry:
                self.draft.notes.off.append(entry.key)
        if file and (not switch or self.is_on(switch)):
            prompts(file, self.document, self.draft, self.files)
        elif file:
            self.draft.notes.off.append(file.key)

    def name_rest(self) -> None:
        """Variables that nothing above knows; those in capitals belong to the system."""
        for name, text in self.texts.items():
            if name in self.used or name.isupper() or name in ("ext_args", "launch_args", "ErrorActionPreference"):
                continue
            self.used.add(name)
            entry = Entry(f"${name}", command_lines.unquoted(text), self.document.name)
            if is_secret(name):
                if not entry.is_unset:
                    self.draft.notes.refuse(entry, "a secret; it is left out")
            elif entry.is_unset or str(entry.value).lower() in ("0", "$false", "false"):
                self.draft.notes.off.append(entry.key)
            elif command_lines.is_plain(text):
                self.draft.notes.refuse(entry, "a variable of the script that is not known here")
