"""Make pictures from prompts, with the add-ons that the prompts name.

Prompts are the WebUI's: <lora:name:1>, <hypernet:name:1> and the names of embeddings work when the files are below
--data-dir.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from lib_sdtune.cli.arguments import add_checkpoint, add_data_dir
from lib_sdtune.cli.console import Bar
from lib_sdtune.declaration import build
from lib_sdtune.errors import UserError
from lib_sdtune.sections.sample import SampleConfig

MAX_COUNT = 1000


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--prompt", nargs="+", action="extend", required=True, metavar="P", help="a prompt; can be repeated"
    )
    parser.add_argument("--negative-prompt", default="", metavar="P", help="what should not be in the picture")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the pictures: 00000.png and so on")
    add_data_dir(parser, "where add-ons are looked for")
    add_checkpoint(parser, "the checkpoint to use")
    parser.add_argument("--steps", type=int, metavar="N", help="default: what suits the checkpoint, mostly 20")
    parser.add_argument("--cfg-scale", type=float, metavar="X", help="default: what suits the checkpoint, mostly 7")
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="of the first picture; the following ones count up"
    )
    parser.add_argument("--width", type=int, default=0, metavar="PX", help="default: what the model was trained at")
    parser.add_argument("--height", type=int, default=0, metavar="PX")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="pictures per prompt")
    parser.add_argument("--sampler", default="", metavar="NAME", help="such as DDIM or Euler a")


def run(args: Namespace) -> int:
    from lib_sdtune.formats import infotext
    from lib_sdtune.training.runs import check_writable

    check(args)
    out = Path(args.out)
    check_writable(out)
    images = pictures(args)
    first = next(images)  # whatever is wrong with prompts and files shows here, before a folder is made
    out.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(chain([first], images)):
        infotext.save(image, out / f"{number:05d}.png")
        print(out / f"{number:05d}.png")
    return 0


def sample_settings(args: Namespace, suited: dict[str, Any]) -> SampleConfig:
    """What was asked for, and `suited` where nothing was. UserError outside the limits of a run's samples."""
    options = {key: getattr(args, key) for key in ("steps", "cfg_scale", "seed", "width", "height")}
    return build(SampleConfig, suited | {key: value for key, value in options.items() if value is not None}, "sample")


def check(args: Namespace) -> None:
    """UserError for what no checkpoint could draw."""
    sample_settings(args, {})
    for side in ("width", "height"):
        if getattr(args, side) % 8:
            raise UserError(f"--{side} is {getattr(args, side)}; it must be a multiple of 8.")
    if not 1 <= args.count <= MAX_COUNT:
        raise UserError(f"--count is {args.count}; it must lie between 1 and {MAX_COUNT}.")


def pictures(args: Namespace) -> Iterator[Any]:
    """The host's pictures in order: every prompt `count` times, each with the next seed."""
    from lib_sdtune.host.base import SampleRequest
    from lib_sdtune.host.embedded import EmbeddedHost

    host = EmbeddedHost(Path(args.data_dir), args.checkpoint or None)
    side, sample = host.resolution, sample_settings(args, host.defaults().get("sample", {}))
    requests = [SampleRequest(prompt, args.negative_prompt, sample.steps, sample.cfg_scale, args.seed + n,
                              args.width or side, args.height or side, args.sampler)
                for prompt in args.prompt for n in range(args.count)]
    with Bar() as bar:
        bar.draw(0, len(requests), "sampling")
        for done, image in enumerate(host.generate(requests), 1):
            bar.draw(done, len(requests), "sampling")
            yield image
