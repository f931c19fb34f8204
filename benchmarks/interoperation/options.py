"""The options that sd-scripts' parsers really have, beside our table of them: which are missing, and which differ.

    python -m benchmarks.interoperation.options --sd-scripts DIR

Nothing is printed but what differs; a default that is off on both sides (None, 0, "") counts as the same.
"""

import argparse
import importlib
import sys
from collections import defaultdict
from pathlib import Path

from lib_sdtune.settings_import.option import Option
from lib_sdtune.settings_import.sd_scripts.options import OPTIONS

SCRIPTS = {"n": ("train_network", "sdxl_train_network"), "d": ("train_db",),
           "t": ("train_textual_inversion", "sdxl_train_textual_inversion")}
CHOSEN_LATER = {"min_timestep", "max_timestep", "clip_skip", "network_dim", "save_precision", "optimizer_type",
                "max_token_length", "save_model_as"}  # by the script, where the parser has None or ""


def theirs() -> dict[str, dict[str, list]]:
    """Option -> letter of a script -> its defaults there."""
    defaults_by_option: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    for letter, names in SCRIPTS.items():
        for name in names:
            for action in importlib.import_module(name).setup_parser()._actions:
                if action.dest != "help":
                    defaults_by_option[action.dest][letter].append(action.default)
    return defaults_by_option


def differences(option: Option, scripts: dict[str, list]) -> list[str]:
    """Sentences about one row."""
    sentences = []
    if set(option.scripts) != set(scripts):
        sentences.append(f"{option.name} is in {''.join(sorted(scripts))}, and the table says {option.scripts}")
    for default in {repr(value): value for values in scripts.values() for value in values}.values():
        if default != option.default and (default or option.default) and option.name not in CHOSEN_LATER:
            sentences.append(f"{option.name} is {default!r} by default, and the table says {option.default!r}")
    return sentences


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interoperation.options", description=__doc__)
    parser.add_argument("--sd-scripts", type=Path, required=True, help="a folder with kohya-ss/sd-scripts")
    sys.path.insert(0, str(parser.parse_args().sd_scripts.absolute()))
    rows, defaults_by_option = {option.name: option for option in OPTIONS}, theirs()
    sentences = [f"{name} is missing in the table" for name in sorted(defaults_by_option.keys() - rows.keys())]
    sentences += [f"{name} is in no script" for name in sorted(rows.keys() - defaults_by_option.keys())]
    for name in sorted(defaults_by_option.keys() & rows.keys()):
        sentences += differences(rows[name], defaults_by_option[name])
    print("\n".join([*sentences, f"{len(defaults_by_option)} options, {len(sentences)} differences"]))
    return min(1, len(sentences))


if __name__ == "__main__":
    raise SystemExit(main())
