"""The list of what is installed: `Extension`s with a name and a folder."""

from types import SimpleNamespace

extensions = []


def install(path):
    extensions.append(SimpleNamespace(name=path.name, path=str(path), is_builtin=False, enabled=True))
