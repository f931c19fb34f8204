"""The WebUI's samplers and schedules by name, where an extension set its own under a name of the WebUI's.

A sampler that an extension added under a name of its own stays: whoever asks for it wants that.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from lib_sdtune.host.webui.extensions.ownership import owner_of
from lib_sdtune.swap import replaced_entry

TABLES = (("modules.sd_samplers", "all_samplers_map", "all_samplers", "constructor"),
          ("modules.sd_schedulers", "schedulers_map", "schedulers", "function"))
"""The module, its table by name, its list of the same entries, and the attribute of an entry that does the work."""


@contextmanager
def put_aside() -> Iterator[None]:
    """Inside, each of the WebUI's own names stands for the WebUI's own entry."""
    with ExitStack() as stack:
        for module_name, table_name, list_name, function in TABLES:
            module = sys.modules.get(module_name)
            table, entries = getattr(module, table_name, {}), getattr(module, list_name, ())
            originals = {entry.name: entry for entry in entries if not owner_of(getattr(entry, function))}
            for name, entry in list(table.items()):
                if owner_of(getattr(entry, function, None)) and getattr(entry, "name", name) in originals:
                    stack.enter_context(replaced_entry(table, name, originals[entry.name]))
        yield
