"""Make a CONFIG from another program's settings.

FILE is a settings file of sd-scripts, kohya_ss, lora-scripts, LoRA_Easy_Training_Scripts, OneTrainer, ai-toolkit,
EveryDream2, sd_dreambooth_extension or the WebUI, a command line in a script, or a LoRA whose metadata says how it was
trained. Several FILEs are one run's: its settings, its dataset file, its concepts. CONFIG goes to the standard output;
what was taken over, what means something else here and what is not supported goes to the error output.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from lib_sdtune.cli.written_file import check_written_file, is_config


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="the other program's settings")
    parser.add_argument("--images", default="", metavar="DIR", help="the folder of the training pictures")
    parser.add_argument("--name", default="", metavar="N", help="what the run and its file are called")
    parser.add_argument("--out", default="", metavar="CONFIG.json", help="write CONFIG there")


def run(args: Namespace) -> int:
    from lib_sdtune.formats.files import write_text
    from lib_sdtune.settings_import.importer import import_settings

    if args.out:
        check_written_file(Path(args.out), is_config)
    imported = import_settings(args.files, args.images, args.name)
    text = json.dumps(imported.config, indent=2, ensure_ascii=False)
    if args.out:
        write_text(Path(args.out), text + "\n")
    else:
        print(text)
    print("\n".join(imported.lines), file=sys.stderr)
    return 0
