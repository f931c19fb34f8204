"""Print the JSON Schema of a run's settings, or the table of docs/settings.md."""

import dataclasses
import json
import types
import typing
from argparse import ArgumentParser, Namespace

from lib_sdtune.declaration import choices, default_of, hint, required, schema, sections, spell


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--readme", action="store_true", help="print the table of docs/settings.md instead")


def run(args: Namespace) -> int:
    from lib_sdtune.config import Config

    print(
        table()
        if args.readme
        else json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema(Config)}, indent=2)
    )
    return 0


def table() -> str:
    """Every setting as Markdown, one table per group."""
    from lib_sdtune.config import Config
    from lib_sdtune.sections.concept import Concept

    groups = [("", Config), ("concepts[]", Concept), *((name, cls) for name, (cls, _) in sections(Config).items())]
    return "\n\n".join(group_table(name, cls) for name, cls in groups)


def group_table(name: str, cls: type) -> str:
    title = f"`{name}`: {cls.__doc__}" if name else f"{cls.__doc__}"
    rows = [row(cls, field) for field in dataclasses.fields(cls) if "section" not in field.metadata]
    return "\n".join([f"**{title}**", "", "| setting | default | can be | advice |", "|---|---|---|---|", *rows])


def row(cls: type, field: dataclasses.Field) -> str:
    cells = [f"`{field.name}`", default(field), possible(cls, field), field.metadata["help"]]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def default(field: dataclasses.Field) -> str:
    if required(field):
        return "required"
    return f"`{json.dumps(default_of(field))}`"


def possible(cls: type, field: dataclasses.Field) -> str:
    facts = field.metadata
    if names := choices(field):
        return ", ".join(f"`{name}`" for name in names)
    kind = hint(cls, field.name)
    if dataclasses.is_dataclass(typing.get_args(kind)[0] if typing.get_origin(kind) is list else kind):
        return "a list of groups"
    limits = []
    if facts.get("above") is not None:
        limits.append(f"more than {facts['above']:,}")
    if facts.get("low") is not None:
        limits.append(f"{facts['low']:,} to {facts['high']:,}")
    elif facts.get("high") is not None:
        limits.append(f"up to {facts['high']:,}")
    words = ", ".join(limits) + (f" {facts['unit']}" if limits and facts.get("unit") else "")
    return words or spell(typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,))
