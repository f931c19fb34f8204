"""An extension in which every picture stays as long as there is a file called `stuck` beside its folder of scripts.

For `tests/webui/test_faults.py`: copy the folder `sticky` into the WebUI's extensions before it starts.
"""

import sys
import time
from pathlib import Path

from modules import processing

STUCK = Path(__file__).parents[1] / "stuck"
create_infotext = processing.create_infotext


def stay(*args, **kwargs):
    watch = sys.modules.get("lib_sdtune.host.webui.progress_watch")
    if watch and STUCK.exists():
        watch.PATIENCE = 1.0
    while STUCK.exists():
        time.sleep(0.1)
    return create_infotext(*args, **kwargs)


processing.create_infotext = stay
