"""One measurement of the WebUI's own trainers, of ours, or of the floor, inside the real WebUI; started by
`ti_hypernetwork`.

Runs under the WebUI's Python, with SDTUNE_WEBUI_DIR; prints the measurement as JSON in its last line.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.webui_trainers import measuring
from benchmarks.webui_trainers.trainers import RATES, TRAINERS
from benchmarks.webui_trainers.webui import ROOT, lay_out, start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["time", "memory", "learn"])
    parser.add_argument("method", choices=list(RATES))
    parser.add_argument("who", nargs="?", choices=list(TRAINERS))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lay_out(folder)
        start(folder)
        if arguments.what == "time":
            measurement = measuring.seconds_per_step(arguments.method, folder)
        elif arguments.what == "memory":
            measurement = measuring.memory_growth(arguments.method, folder, arguments.who)
        else:
            measurement = measuring.validation_losses(arguments.method, folder, arguments.who, arguments.steps,
                                                      arguments.seeds)
    print(json.dumps(measurement))


if __name__ == "__main__":
    main()
