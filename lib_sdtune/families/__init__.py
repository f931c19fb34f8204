from lib_sdtune.registry import Registry

registry = Registry("lib_sdtune.families", "family")
