"""Resize, merge and extract LoRA files.

resize IN OUT: another rank; LoHa and LoKr become a LoRA. merge OUT A[:w] B[:w] …: several into one, each times its
weight, or with --checkpoint into that checkpoint. extract TUNED ORIGINAL OUT: what a checkpoint has learned, as a LoRA.
The results are those of sd-scripts' tools. `lora TOOL --help` lists what each takes.
"""

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib_sdtune.cli.console import Bar
from lib_sdtune.declaration import choices, hint
from lib_sdtune.errors import UserError
from lib_sdtune.formats.paths import path_of
from lib_sdtune.lora_tools.settings import Extract, Merge, Resize

OUT = "the .safetensors file to write"


def arguments(parser: ArgumentParser) -> None:
    tools = parser.add_subparsers(dest="tool", metavar="TOOL", required=True, parser_class=type(parser))
    resize = tools.add_parser("resize", help="give a LoRA another rank")
    resize.add_argument("file", metavar="IN")
    resize.add_argument("out", metavar="OUT", help=OUT)
    add_settings(resize, Resize, ("dim", "conv_dim", "dynamic_method", "dynamic_param"), required="dim",
                 dynamic_param=None)
    merge = tools.add_parser("merge", help="make one LoRA of several, or put them into a checkpoint")
    merge.add_argument("out", metavar="OUT", help=OUT)
    merge.add_argument("files", nargs="+", metavar="FILE[:W]", help="a LoRA and its weight (default: 1)")
    merge.add_argument("--checkpoint", default="", metavar="F", help="put them into this checkpoint")
    add_settings(merge, Merge, ("dim", "conv_dim"))
    extract = tools.add_parser("extract", help="make a LoRA of what a checkpoint has learned")
    extract.add_argument("tuned", metavar="TUNED", help="the checkpoint after")
    extract.add_argument("original", metavar="ORIGINAL", help="the checkpoint before")
    extract.add_argument("out", metavar="OUT", help=OUT)
    add_settings(extract, Extract, ("dim", "conv_dim", "min_diff"), dim=4)
    for tool in (merge, extract):
        tool.add_argument(
            "--clamp-quantile",
            type=float,
            default=0.99,
            metavar="X",
            help="cut values beyond this share of all at each layer, 1 for none (default: 0.99)",
        )
    for tool, read in ((resize, "as it was read"), (merge, "as it was read"), (extract, "float")):
        tool.add_argument("--save-precision", default="", metavar="P", help=f"fp16, bf16 or float (default: {read})")
        tool.add_argument("--device", default="cpu", metavar="D", help="cuda is faster (default: cpu)")
        tool.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
        tool.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_settings(
    parser: ArgumentParser, cls: type, names: Sequence[str], required: str = "", **sd_scripts: Any
) -> None:
    """Add the settings `names` of a tool with the types, defaults and help of their declarations.

    required: the name of one that must be given. sd_scripts: sd-scripts' own defaults where the tab has others.
    """
    for field in (field for field in dataclasses.fields(cls) if field.name in names):
        default = sd_scripts.get(field.name, field.default)
        kind = hint(cls, field.name)
        metavar = "|".join(filter(None, choices(field) or ())) or {int: "N", float: "X"}[kind]
        known = "" if field.name == required or default in ("", None) else f" (default: {default})"
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=default, metavar=metavar,
                            required=field.name == required,
                            help=f"{field.metadata['help'].rstrip('.')}{known}".replace("%", "%%"))


def run(args: Namespace) -> int:
    target = file(args.out)
    common = {"save_precision": args.save_precision, "device": device(args.device), "overwrite": args.overwrite}
    with Bar() as bar:
        print(TOOLS[args.tool](args, target, common | {"progress": bar.progress}))
    print(target)
    return 0


def resize(args: Namespace, target: Path, common: dict[str, Any]) -> str:
    from lib_sdtune.lora_tools.resize import resize

    result = resize(
        file(args.file), target, args.dim, args.conv_dim or None, args.dynamic_method, args.dynamic_param, **common
    )
    dims = ", ".join(f"{dim} ({count} layers)" for dim, count in sorted(result.dims.items()))
    mean = sum(result.norm_kept) / len(result.norm_kept) if result.norm_kept else 1
    return (
        f"Ranks: {dims}. Of the norm {mean:.1%} is kept, {min(result.norm_kept, default=1):.1%} at the worst layer."
    )


def merge(args: Namespace, target: Path, common: dict[str, Any]) -> str:
    sources, ratios = zip(*map(file_and_weight, args.files), strict=True)
    if args.checkpoint:
        from lib_sdtune.lora_tools.merge_into_checkpoint import merge_into_checkpoint, said_of_averages

        if args.dim or args.conv_dim:
            raise UserError("--dim is a LoRA's, and --checkpoint makes a checkpoint; leave one of them out.")
        base = file(args.checkpoint)
        count = merge_into_checkpoint(base, sources, ratios, target, **common)
        return f"Tensors of the checkpoint that changed: {count}.{said_of_averages(base)}"
    from lib_sdtune.lora_tools.merge import merge

    return f"Layers merged: {merge(sources, ratios, target, args.dim, args.conv_dim, args.clamp_quantile, **common)}."


def extract(args: Namespace, target: Path, common: dict[str, Any]) -> str:
    from lib_sdtune.lora_tools.extract import extract

    count = extract(
        file(args.original),
        file(args.tuned),
        target,
        args.dim,
        args.conv_dim,
        args.clamp_quantile,
        args.min_diff,
        **common,
    )
    return f"Layers extracted: {count}."


TOOLS = {"resize": resize, "merge": merge, "extract": extract}


def file_and_weight(text: str) -> tuple[Path, float]:
    """(path, weight) of "FILE:0.8" or "FILE"; the colon of a drive is no weight."""
    name, _, weight = text.rpartition(":")
    try:
        number = float(weight)
    except ValueError:
        return file(text), 1.0
    return (file(name), number) if name else (file(text), 1.0)


def file(text: str) -> Path:
    path = path_of(text)
    if path is None:
        raise UserError(f"{text!r} is no name of a file.")
    return Path(path)


def device(name: str) -> str:
    """UserError for one that is not there."""
    import torch

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"--device {name} cannot be used here ({str(error).splitlines()[0][:120]}); cpu always can."
        ) from None
    return name
