"""What can be trained. A file in this folder is a method: its settings, its words in the tab, its file, and how it
learns.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lib_sdtune.registry import Registry

if TYPE_CHECKING:  # importing them imports torch
    from lib_sdtune.families.base import Family
    from lib_sdtune.families.variant import Variant
    from lib_sdtune.methods.base import Method

registry = Registry("lib_sdtune.methods", "method")


def in_order() -> list[type["Method"]]:
    """The classes of all methods as settings, documents and the tab list them."""
    return sorted((method for _, method in registry), key=lambda method: (method.order, method.name))


def usable(why_unusable: Callable[[str], str]) -> list[str]:
    """The names of the methods whose files show in pictures, in order; why_unusable: see `Host.why_unusable`."""
    return [method.name for method in in_order() if not why_unusable(method.kind)]


def suited(family: "Family", variant: "Variant") -> dict[str, Any]:
    """Settings that suit a model better than the general ones, nested as in a config: the family's, and each method's
    own.
    """
    sections = {method.name: method.suited(family) for method in in_order()}
    return family.defaults(variant) | {name: section for name, section in sections.items() if section}
