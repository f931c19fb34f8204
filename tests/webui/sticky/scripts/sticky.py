"""An extension in which every picture stays as long as there is a file called `stuck` beside its folder of scripts.

For `tests/webui/test_faults.py`: copy the folder `sticky` into the WebUI's extensions before it starts. It wraps what SD
Tune does not put aside for its pictures; a wrapped `modules.processing` would not be asked.
"""

import sys
import time
from pathlib import Path

from modules.shared_state import State

STUCK = Path(__file__).parents[1] / "stuck"
nextjob = State.nextjob


def stay(state):
    watch = sys.modules.get("lib_sdtune.host.webui.sampler_watchdog")
    if watch and STUCK.exists():
        watch.PATIENCE = 1.0
    while STUCK.exists():
        time.sleep(0.1)
    return nextjob(state)


State.nextjob = stay
