"""What can be trained. A file in this folder is a method: its settings, its words in the tab, its file, and how it
learns.
"""

from typing import TYPE_CHECKING

from lib_sdtune.registry import Registry

if TYPE_CHECKING:  # they import this file
    from lib_sdtune.methods.base import Method

registry = Registry("lib_sdtune.methods", "method")


def in_order() -> list[type["Method"]]:
    """The classes of all methods as settings, documents and the tab list them."""
    return sorted((method for _, method in registry), key=lambda method: (method.order, method.name))
