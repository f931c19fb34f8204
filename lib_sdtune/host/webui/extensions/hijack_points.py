"""Functions of torch, of the model's packages and of the WebUI's samplers that extensions exchange for their own.

What stands there when the WebUI executes our script is remembered: later it tells what an extension has changed, and
what the WebUI's own was. What the WebUI itself exchanges afterwards (attention, LoRA, casts) counts as its own.
"""

import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import FunctionType, ModuleType
from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.host.webui.extensions.ownership import Change, file_of, is_webui, owner_of
from lib_sdtune.swap import ABSENT, replaced

Point = tuple[Any, str, Any]
"""A module, class or object; the name of one of its attributes; what stands there."""

MODEL = ("ldm.modules", "ldm.models", "sgm.modules", "sgm.models", "open_clip", "transformers.models.clip", "torch.nn",
         "modules.sd_hijack_unet", "modules.sd_unet", "modules.hypernetworks.hypernetwork",
         "ldm_patched.ldm", "backend.nn", "backend.operations")
TORCH = ("torch", "torch.nn.functional", "torch.utils.checkpoint")  # their functions, not their packages
PICTURES = ("k_diffusion", "modules.processing", "modules.prompt_parser", "modules.rng", "modules.extra_networks",
            "modules.sd_samplers", "modules.sd_hijack", "modules.sd_schedulers", "modules.sd_vae_approx")
ATTENTION = (("modules.attention", "CrossAttention", "forward"),
             ("modules.diffusionmodules.model", "AttnBlock", "forward"))
_start: dict[Any, dict[str, Any]] = {}


def remember() -> None:
    """Keep what stands at every point; call it as early as can be, and again for what was imported since."""
    new = {}
    for owner, name, value in [*of_model(), *of_pictures()]:
        new.setdefault(owner, {})[name] = value
    for owner, functions in new.items():
        _start.setdefault(owner, functions)


def of_model() -> Iterator[Point]:
    """(owner, name, function) of every point that a training comes by."""
    yield from points(lambda name: name in TORCH or name.startswith(MODEL))
    th = getattr(sys.modules.get("modules.sd_hijack_unet"), "th", None)
    if th is not None:
        yield from ((th, name, value) for name, value in vars(th).copy().items())


def of_pictures() -> Iterator[Point]:
    """The same for what only a picture comes by."""
    yield from points(lambda name: name.startswith(PICTURES) and not name.startswith(MODEL))


def points(is_chosen: Callable[[str], bool]) -> Iterator[Point]:
    """Of the modules whose name `is_chosen`: their functions and objects, and the functions of their classes."""
    # A copy is made at one go; a list is not, and another thread may import or define something meanwhile.
    for module_name, module in sys.modules.copy().items():
        if not isinstance(module, ModuleType) or not is_chosen(module_name):
            continue
        for name, value in vars(module).copy().items():
            if isinstance(value, type) and value.__module__ == module_name:
                entries = vars(value).copy().items()
                yield from ((value, attribute, entry) for attribute, entry in entries if callable(entry))
            if callable(value) or name == "th":
                yield module, name, value


@contextmanager
def put_aside(candidates: Iterable[Point]) -> Iterator[list[Change]]:
    """Each point is the WebUI's own inside; gives the list of `Change`. UserError where nobody knows what stood there.

    Afterwards the other extension's function is back, unless somebody has set the point anew since.
    """
    changes = []
    with ExitStack() as stack:
        for owner, name, value in list(candidates):
            culprit = owner_of(value) or package_that_replaced(owner, name, value)
            if not culprit or vars(owner).get(name, ABSENT) is not value:  # a class can be met by two names
                continue
            original = original_of(owner, name)
            if original is None:
                raise UserError(f"{name_of(owner)}.{name} was exchanged by {culprit} before SD Tune could see the "
                                "WebUI's own; switch that extension off, restart the WebUI, then start again.")
            stack.enter_context(replaced(owner, name, original, still_wanted=lambda: True))
            changes.append(Change(name_of(owner), name, culprit, in_code=True))
        yield changes


def package_that_replaced(owner: Any, name: str, value: Any) -> str:
    """The package that exchanged a function since the start, where it is neither the WebUI nor the owner's; else ""."""
    before = _start.get(owner, {}).get(name, value)
    if before is value or not isinstance(value, FunctionType) or is_webui(file_of(value)):
        return ""
    package = (value.__module__ or "").partition(".")[0]
    return "" if package in ("", package_of(owner), "torch") else f'the package "{package}"'


def package_of(owner: Any) -> str:
    return getattr(owner, "__module__", getattr(owner, "__name__", "")).partition(".")[0]


def original_of(owner: Any, name: str) -> Any:
    """What the WebUI has at a point, ABSENT for nothing; None where nobody knows."""
    if (attention := chosen_attention(owner, name)) is not None:
        return attention
    if name == "th" and "modules.sd_hijack_unet" in sys.modules:
        return sys.modules["modules.sd_hijack_unet"].th
    before = _start.get(owner, {}).get(name, ABSENT)
    if owner in _start and (before is ABSENT or not owner_of(before)):
        return before
    if not isinstance(owner, type | ModuleType):
        return ABSENT  # an object such as `th`, which has no functions of its own: its class answers
    return still_alive(owner, name)


def chosen_attention(owner: Any, name: str) -> Callable | None:
    """The function that the WebUI's settings choose for an attention class; None for any other point."""
    places = [(getattr(sys.modules.get(f"{package}.{module}"), kind, None), attribute)
              for package in ("ldm", "sgm") for module, kind, attribute in ATTENTION]
    if (owner, name) not in places:
        return None
    from modules import sd_hijack, sd_hijack_optimizations

    before = [(kind, attribute, getattr(kind, attribute)) for kind, attribute in places if kind is not None]
    try:
        sd_hijack_optimizations.SdOptimization().undo()
        if sd_hijack.current_optimizer is not None:
            sd_hijack.current_optimizer.apply()
        return vars(owner)[name]
    finally:
        for kind, attribute, value in before:
            setattr(kind, attribute, value)


def still_alive(owner: Any, name: str) -> Callable | None:
    """The function as its source defines it, if whoever exchanged it holds on to it; else None."""
    module = owner.__name__ if isinstance(owner, ModuleType) else owner.__module__
    qualified = name if isinstance(owner, ModuleType) else f"{owner.__qualname__}.{name}"
    file = file_of(sys.modules.get(module))
    functions = (value for value in gc.get_objects() if type(value) is FunctionType and value.__module__ == module)
    return next((function for function in functions
                 if function.__qualname__ == qualified and function.__code__.co_filename == file), None)


def name_of(owner: Any) -> str:
    if isinstance(owner, ModuleType):
        return owner.__name__
    kind = owner if isinstance(owner, type) else type(owner)
    return f"{kind.__module__}.{kind.__qualname__}"
