"""Plug-in folders: a file in the folder is an entry, and nothing else is edited to add one.

Further folders are named by the environment variable SDTUNE_PLUGINS; each has sub-folders called as ours (methods,
networks, optim, captioners, families), and their files are imported as if they lay in ours.
"""

import difflib
import importlib
import os
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

from lib_sdtune.errors import UserError

PLUGINS = "SDTUNE_PLUGINS"


class Registry:
    """The entries of one plug-in package, imported when first asked for.

    >>> networks = Registry("lib_sdtune.networks", "network")
    >>> @networks.register("lora")
    ... class LoRA: ...
    """

    def __init__(self, package: str, noun: str) -> None:
        self.package, self.noun, self._lock = package, noun, RLock()
        self._entries: dict[str, Any] = {}
        self._imported = self._importing = False

    def register(self, name: str) -> Callable:
        """Class decorator: file the entry under `name`, which it then carries as `.name`."""

        def enter(entry: Any) -> Any:
            if self._entries.get(name, entry).__qualname__ != entry.__qualname__:
                raise ValueError(f"two {self.noun} entries are called {name!r}")
            entry.name = name
            self._entries[name] = entry
            return entry

        return enter

    def names(self) -> list[str]:
        return sorted(self._load())

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(sorted(self._load().items()))

    def __getitem__(self, name: str) -> Any:
        entries = self._load()
        if name not in entries:
            near = nearest(name, entries)
            raise UserError(f"There is no {self.noun} called {name!r}{near}; there are: {', '.join(sorted(entries))}.")
        return entries[name]

    def _load(self) -> dict[str, Any]:
        with self._lock:
            if not self._imported:
                if self._importing:
                    raise RuntimeError(
                        f"a file of {self.package} asks for all {self.noun} entries while they are imported"
                    )
                self._importing = True
                try:
                    self._import_all()
                finally:
                    self._importing = False
                self._imported = True
        return self._entries

    def _import_all(self) -> None:
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        for folder in plugin_folders(self.package.rpartition(".")[2]):
            self._load_plugins(package, folder)

    def _load_plugins(self, package: ModuleType, folder: Path) -> None:
        """Import the files of a folder of the user's. UserError when one cannot be, or would hide another file."""
        if str(folder) not in package.__path__:
            package.__path__.append(str(folder))
        for module in pkgutil.iter_modules([str(folder)]):
            path = folder / f"{module.name}.py"
            try:
                loaded = importlib.import_module(f"{self.package}.{module.name}")
            except Exception as error:
                raise UserError(f"The plug-in {path} cannot be used ({type(error).__name__}: {error}); "
                                "correct it, or take it out of the folder.") from error
            if Path(str(loaded.__file__)).parent != folder:
                raise UserError(f"The plug-in {path} has the name of {loaded.__file__}; give it another name.")


def registered(kind: str) -> Callable[[], list[str]]:
    """The names registered in `lib_sdtune.KIND`, looked up late, so that declaring settings imports no plug-in."""

    def names() -> list[str]:
        return importlib.import_module(f"lib_sdtune.{kind}").registry.names()

    return names


def plugin_folders(kind: str) -> list[Path]:
    """The folders of that kind of entry below those that SDTUNE_PLUGINS names. UserError for one that is not there."""
    bases = [Path(base).absolute() for base in os.environ.get(PLUGINS, "").split(os.pathsep) if base.strip()]
    for base in bases:
        if not base.is_dir():
            raise UserError(f"{PLUGINS} names the folder {base}, which is not there; correct it, or leave it empty.")
    return [base / kind for base in bases if (base / kind).is_dir()]


PHRASES = ("{1} (did you mean {2}?)",)


def nearest(word: object, words: Iterable) -> str:
    """' (did you mean X?)' for a likely typing mistake, else ''."""
    near = closest(word, words)
    return did_you_mean(near) if near else ""


def did_you_mean(word: str) -> str:
    return f" (did you mean {word!r}?)"


def closest(word: object, words: Iterable, cutoff: float = 0.6) -> str:
    """The most similar of the words, "" where none is; cutoff: how alike they must be, from 0 to 1."""
    close = difflib.get_close_matches(str(word), [str(candidate) for candidate in words], n=1, cutoff=cutoff)
    return close[0] if close else ""
