"""A command line of sd-scripts in a .bat, .ps1, .sh or text file: accelerate launch … train_network.py --flag value."""

from lib_sdtune.errors import UserError
from lib_sdtune.settings_import import command_lines, families
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect, add
from lib_sdtune.settings_import.dialects.sd_scripts_config import DISTINCT
from lib_sdtune.settings_import.documents import Document, flat
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.sd_scripts.files import follow

SCRIPTS = ("train_network", "train_db", "train_textual_inversion", "fine_tune", "sdxl_train_network", "sdxl_train",
           "sdxl_train_textual_inversion", "train")
OTHER_WORK = {"extract_lora_from_models": "a LoRA extracted from two models", "merge_lora": "merged LoRAs",
              "resize_lora": "a resized LoRA", "svd_merge_lora": "merged LoRAs", "gen_img": "generated pictures",
              "sdxl_gen_img": "generated pictures"}


@registry.register("command line")
class CommandLine(Dialect):
    title, order, is_part = "a command line of sd-scripts", 70, False

    @staticmethod
    def recognises(document: Document) -> bool:
        return document.kind == "script" and any(
            program(command) or DISTINCT & set(command_lines.flags(command)) for command in
            command_lines.commands(document.text))

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        draft.program = "sd-scripts"
        command = chosen(document, draft)
        script = program(command)
        draft.script = script.removeprefix("sdxl_") if script not in ("sdxl_train",) else script
        if script.startswith("sdxl_"):
            draft.sdxl = True
        position = next((place for place, word in enumerate(command) if command_lines.program_of(word)), -1)
        flags = command_lines.flags(command[position + 1:])
        launcher(command_lines.flags(command[:position]) if position > 0 else {}, document, draft)
        if "config_file" in flags:
            read_config(Entry("--config_file", flags["config_file"], document.name), document, draft, files)
        for name, value in flags.items():
            add(draft, name, Entry(f"--{name}", value, document.name))
            name_expression(name, value, document, draft)
        families.check_options(document.name, draft.options)
        follow(document, draft, files)


def program(command: list[str]) -> str:
    return next((name for word in command if (name := command_lines.program_of(word))), "")


def chosen(document: Document, draft: Draft) -> list[str]:
    """The command that trains; others are told. UserError where none does, or it trains something else."""
    commands = command_lines.commands(document.text)
    for command in commands:
        families.check_word(document.name, program(command))
        if program(command) in OTHER_WORK:
            raise UserError(
                f"{document.name} makes {OTHER_WORK[program(command)]}; it holds no settings of a training."
            )
    training = [command for command in commands if program(command) in SCRIPTS] or commands
    for command in training[1:]:
        draft.notes.warnings.append(
            f"{document.name} starts {program(command)} too; the first training is taken alone."
        )
    return training[0]


def launcher(flags: dict[str, object], document: Document, draft: Draft) -> None:
    """Flags of accelerate, which stand before the script. Its mixed_precision is overruled by the script's own."""
    for name, value in flags.items():
        entry = Entry(f"accelerate --{name}", value, document.name)
        if name == "mixed_precision":
            draft.notes.differ(entry, "the script's own mixed_precision counts, not this one")
        else:
            add(draft, name, entry)


def read_config(entry: Entry, document: Document, draft: Draft, files: Files) -> None:
    """The settings file that the command names; its flags go before it."""
    named_document = files.named(entry, document, draft)
    if named_document is not None:
        for key, value in flat(named_document.table).items():
            add(draft, key, Entry(key, value, named_document.name))


def name_expression(name: str, value: object, document: Document, draft: Draft) -> None:
    """What the script would compute is told, and not guessed."""
    text = str(value)
    if command_lines.COMPUTED.search(text):
        del draft.options[name]
        draft.notes.refuse(
            Entry(f"--{name}", text, document.name), "is computed by the script, or set outside of it; set it yourself"
        )
