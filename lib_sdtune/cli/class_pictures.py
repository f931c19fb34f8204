"""Draw the class pictures that CONFIG asks for and that are missing.

CONFIG's concepts have class_images (a folder), class_prompt and num_class_images.
Training does so by itself; this is for looking at them first. What is there counts, so it can be interrupted and
repeated.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from lib_sdtune.cli.arguments import add_checkpoint, add_data_dir
from lib_sdtune.cli.console import Bar
from lib_sdtune.cli.train import checked_config, settings, takes_settings
from lib_sdtune.errors import UserError


def arguments(parser: ArgumentParser) -> None:
    takes_settings(parser)
    add_data_dir(parser, "where models live")
    add_checkpoint(parser, "the checkpoint that draws")


def run(args: Namespace) -> int:
    config, host = checked_config(settings(args), args.data_dir, args.checkpoint)
    if not any(concept.num_class_images for concept in config.concepts):
        raise UserError('No concept has "num_class_images", so there is nothing to draw; set it, say to 100.')

    from lib_sdtune.training.class_pictures import draw

    with Bar() as bar:
        draw(config, host, bar.progress)
    for folder in sorted({concept.class_images for concept in config.concepts if concept.num_class_images}):
        print(Path(folder))
    return 0
