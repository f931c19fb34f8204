from lib_sdtune.registry import Registry
from lib_sdtune.sentences import phrase

registry = Registry("lib_sdtune.networks", phrase("network"))
