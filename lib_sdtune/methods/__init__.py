"""What can be trained. A file in this folder is a method: its settings, its words in the tab, its file, and how it
learns.
"""

from lib_sdtune.registry import Registry

registry = Registry("lib_sdtune.methods", "method")


def in_order():
    """The classes of all methods as settings, documents and the tab list them."""
    return sorted((method for _, method in registry), key=lambda method: (method.order, method.name))
