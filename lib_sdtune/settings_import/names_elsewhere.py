"""What the settings are called in other programs, read off the tables by which their files are opened."""

from collections import defaultdict
from collections.abc import Iterator

from lib_sdtune.settings_import import ai_toolkit, everydream2, onetrainer
from lib_sdtune.settings_import.sd_scripts import kohya_gui, lora_scripts, options
from lib_sdtune.settings_import.sd_scripts.translate import PER_SUBSET

TABLES = (options.OPTIONS, onetrainer.OPTIONS, ai_toolkit.OPTIONS, everydream2.OPTIONS)


def names_elsewhere() -> dict[str, list[str]]:
    """{CONFIG key: names}, "concepts[].images" for a setting of each concept."""
    names = defaultdict(list)
    for key, name in pairs():
        if name not in names[key]:
            names[key].append(name)
    return dict(names)


def pairs() -> Iterator[tuple[str, str]]:
    """(CONFIG key, name elsewhere), sd-scripts' own first."""
    of_scripts = defaultdict(list)
    for table in TABLES:
        for option in table:
            for key in filter(None, option.to.split(", ")):
                yield key, option.name
                if table is options.OPTIONS:
                    of_scripts[option.name].append(key)
    yield from ((key, name) for name, key in PER_SUBSET.items() if key)
    for renamed in (kohya_gui.RENAMED, lora_scripts.VARIABLES):
        yield from ((key, name) for name, script_name in renamed.items() for key in of_scripts[script_name])
