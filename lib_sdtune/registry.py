"""Plug-in folders: a file in the folder is an entry, and nothing else is edited to add one."""

import difflib
import importlib
import pkgutil

from lib_sdtune.errors import UserError


class Registry:
    """The entries of one plug-in package, imported when first asked for.

    >>> networks = Registry("lib_sdtune.networks", "network")
    >>> @networks.register("lora")
    ... class LoRA: ...
    """

    def __init__(self, package, noun):
        self.package, self.noun = package, noun
        self._entries, self._imported = {}, False

    def register(self, name):
        """Class decorator: file the entry under `name`, which it then carries as `.name`."""

        def enter(entry):
            if self._entries.get(name, entry).__qualname__ != entry.__qualname__:
                raise ValueError(f"two {self.noun} entries are called {name!r}")
            entry.name = name
            self._entries[name] = entry
            return entry

        return enter

    def names(self):
        return sorted(self._load())

    def __iter__(self):
        return iter(sorted(self._load().items()))

    def __getitem__(self, name):
        entries = self._load()
        if name not in entries:
            near = nearest(name, entries)
            raise UserError(f"There is no {self.noun} called {name!r}{near}; there are: {', '.join(sorted(entries))}.")
        return entries[name]

    def _load(self):
        if not self._imported:
            folder = importlib.import_module(self.package).__path__
            for module in pkgutil.iter_modules(folder):
                importlib.import_module(f"{self.package}.{module.name}")
            self._imported = True
        return self._entries


def nearest(word, known):
    """' (did you mean X?)' for a likely typing mistake, else ''."""
    close = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
