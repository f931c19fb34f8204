"""Whose code something is: the WebUI's and its libraries', ours, or another extension's."""

import functools
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, FunctionType, MethodType, ModuleType
from typing import Any

from modules import extensions, paths_internal

OURS = os.path.realpath(Path(__file__).parents[4])
WEBUI = [os.path.join(paths_internal.script_path, name) for name in (
    "modules", "repositories", "extensions-builtin", "backend", "ldm_patched", "modules_forge", "packages_3rdparty")]


@dataclass(frozen=True)
class Change:
    """Something that another extension changed. place: the module or class; kind: what about it; owner: who did it;
    in_code: in the functions that run the model, not on the model itself.
    """

    place: str
    kind: str
    owner: str
    in_code: bool = False


def extension_of(file: str | None) -> str:
    """The folder name of the extension, ours and the built-in ones aside, that a file belongs to; "" if to none."""
    if not file:
        return ""
    installed = tuple((entry.name, entry.path) for entry in extensions.extensions if not entry.is_builtin)
    return folder_around(file, installed, paths_internal.extensions_dir)


@functools.cache
def folder_around(file: str, installed: tuple, extensions_dir: str) -> str:
    """installed: (name, path) of each extension. Called for thousands of functions of few files, hence the cache."""
    if inside(os.path.realpath(file), OURS):
        return ""
    for path in (os.path.abspath(file), os.path.realpath(file)):
        for name, folder in installed:
            if inside(path, folder) or inside(path, os.path.realpath(folder)):
                return name
        if inside(path, extensions_dir):  # put there since the WebUI looked last
            return Path(path).relative_to(extensions_dir).parts[0]
    return ""


def inside(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)


@functools.cache
def is_webui(file: str | None) -> bool:
    """Whether a file is of the WebUI itself, its built-in extensions, or ours."""
    path = os.path.realpath(file) if file else ""
    return any(inside(path, os.path.realpath(folder)) for folder in [*WEBUI, OURS])


def is_ours(value: Any) -> bool:
    return inside(os.path.realpath(file_of(value) or ""), OURS)


def file_of(value: Any) -> str | None:
    """The source file of a function, method, partial, class, or instance of a class; None for what is built in."""
    if isinstance(value, functools.partial):
        return file_of(value.func)
    if isinstance(value, MethodType):
        return file_of(value.__func__)
    if isinstance(value, staticmethod | classmethod):
        return file_of(value.__func__)
    if isinstance(value, FunctionType):
        return value.__code__.co_filename
    if isinstance(value, ModuleType):
        return getattr(value, "__file__", None)
    if isinstance(value, type):
        functions = (entry for entry in vars(value).values()
                     if isinstance(entry, FunctionType) and entry.__module__ == value.__module__)
        function = next(functions, None)
        if function is None:
            return getattr(sys.modules.get(value.__module__), "__file__", None)
        return function.__code__.co_filename
    return None if type(value).__module__ == "builtins" else file_of(type(value))


def owner_of(value: Any) -> str:
    """Who else wrote a function, class or object: 'the extension "name"'; "" for the WebUI, libraries, and us."""
    for layer in layers(value):
        if name := extension_of(file_of(layer)):
            return f'the extension "{name}"'
    return ""


def layers(value: Any) -> Iterator[Any]:
    """A function, and what the WebUI's own conditional wrapper (`sd_hijack_utils.CondFunc`) around it calls on to."""
    yield value
    if isinstance(value, FunctionType) and os.path.basename(value.__code__.co_filename) == "sd_hijack_utils.py":
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # an empty cell
                for function in vars(cell.cell_contents).values() if hasattr(cell.cell_contents, "__dict__") else ():
                    if callable(function):
                        yield from layers(function)


def failing_in(error: BaseException) -> str:
    """The extension in whose code an exception was raised: 'the extension "name"', or "" where it was none's."""
    return innermost(traceback.extract_tb(error.__traceback__))


def running(frame: FrameType) -> str:
    """The extension in whose code a thread is that runs `frame`, or that called what it is in; "" where it is none's.
    """
    return innermost(traceback.extract_stack(frame))


def innermost(frames: traceback.StackSummary) -> str:
    names = (extension_of(frame.filename) for frame in reversed(frames))
    return next((f'the extension "{name}"' for name in names if name), "")
