"""Whose settings a file holds. A file in this folder is a dialect: how it is recognised, and how it is read."""

from lib_sdtune.registry import Registry

registry = Registry("lib_sdtune.settings_import.dialects", "dialect")
