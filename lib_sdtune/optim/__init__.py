from typing import TYPE_CHECKING, Any

from lib_sdtune.errors import UserError
from lib_sdtune.registry import Registry

if TYPE_CHECKING:  # it is not needed to declare settings
    import torch

registry = Registry("lib_sdtune.optim", "optimizer")


def make(name: str, arguments: dict[str, Any], groups: list[dict[str, Any]]) -> "torch.optim.Optimizer":
    """The optimizer of that name over torch's parameter groups, each with its "lr".

    arguments: further ones of its own. UserError when it is not installed or they are none of its own.
    """
    if "lr" in arguments:
        raise UserError('"train.optimizer_args" sets "lr", which the method\'s own section does; take it out.')
    try:
        return registry[name](groups, **arguments)
    except UserError:
        raise
    except Exception as error:  # each optimizer refuses in its own way
        reason = str(error).split("\n")[0].rstrip(".")
        raise UserError(
            f'"train.optimizer_args" is {arguments}, which {name} does not take ({reason}); correct or empty it.'
        ) from error


def missing_package(name: str, package: str, other: str = "Lion") -> UserError:
    """That the optimizer `name` cannot be made without a package, and which others can."""
    return UserError(f'"train.optimizer" is {name}, which needs the package {package}; choose AdamW or {other}.')


def check(name: str, arguments: dict[str, Any]) -> None:
    """UserError when the optimizer could not be made, found out on one number."""
    import torch

    make(name, arguments, [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1e-3}])


def bytes_of(name: str) -> int:
    """What the optimizer of that name remembers for every number that learns."""
    return getattr(registry[name], "bytes", 8)


def finds_rate(name: str) -> bool:
    """Whether it finds its own rate, so that what it is given only scales that: 1."""
    return getattr(registry[name], "finds_rate", False)


def needs_all(name: str) -> bool:
    """Whether it needs every gradient before its step."""
    return getattr(registry[name], "needs_all", False)


def keeps_mean(name: str) -> bool:
    """Whether it steps other values than those that a file should hold (`optim.schedule_free`)."""
    return getattr(registry[name], "keeps_mean", False)


def supports_found_inf(name: str, arguments: dict[str, Any], device: "torch.device") -> bool:
    """Whether the optimizer can leave a step out where a tensor on the device says so (`found_inf`)."""
    supports = getattr(registry[name], "supports_found_inf", None)
    return bool(device.type == "cuda" and supports and supports(arguments))


def available(name: str) -> bool:
    """Whether the optimizer of that name can be made here."""
    import torch

    try:
        registry[name]([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1e-3}])
    except Exception:  # a package that is missing or broken
        return False
    return True
