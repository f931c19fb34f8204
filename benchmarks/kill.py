"""Kill a run at moments of every kind, resume it, and compare all files with those of a run that was left alone.

    python -m benchmarks.kill [--methods lora dreambooth ...] [--kills 20] [--seed 0] [--every] [--full-disk]

A moment is right before or right after a write to the disk or a rename: all are counted. What goes by the clock
(status.json) moves them a little from run to run, so that the last may come after a run's end. `--every` tries all of
them. With `--full-disk` nothing is killed: from that moment on the disk takes nothing more, until the run has paused or
ended because of it; then there is room, and it goes on by itself or is resumed.

Compared are the bytes of every file that the settings promise: the final file and those on its way with their cards and
previews, the samples, and the steps in log.csv. What differs is named; the last line is the sum.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from lib_sdtune.methods import registry
from lib_sdtune.training import log
from tests.hosts import pictures, settings

FULL = 28  # a worker's exit code where the run ended because the disk was full
WORKER = """
import errno, json, os, pathlib, shutil, signal, sys
from lib_sdtune.data import store
from lib_sdtune.errors import DiskFull, UserError
from lib_sdtune.training import runs, state
from tests.hosts import TinyHost, train

data, config, moment, fault = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
host, count, full, usage = TinyHost(data), 0, False, shutil.disk_usage

def counted(original):
    def call(*arguments, **named):
        pass_moment()
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        result = original(*arguments, **named)
        pass_moment()
        return result
    return call

def pass_moment():
    global count, full
    count += 1
    if count == moment and fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    full = full or count == moment

def make_room(control):
    global full
    if control.state == "paused":
        full = False

shutil.disk_usage = lambda path: usage(path)._replace(free=0) if full else usage(path)

os.replace, os.fsync, store.write = counted(os.replace), counted(os.fsync), counted(store.write)
folder = runs.folder_of(host, config["name"])
begun = runs.RunFolder(folder).status().get("state")
if begun != "finished":
    try:
        train(host, config, resume=state.newest(folder) is not None, watch=make_room)
    except (DiskFull, UserError) as error:
        if full and ("Make room" in str(error)):
            sys.exit({FULL})
        raise
print(count)
""".replace("{FULL}", str(FULL))
COMPARED = (".safetensors", ".pt", ".png")
CARDS = ("ron.json",)


def config_of(method: str, images: Path) -> dict:
    """A run of six steps with everything that a run can leave behind."""
    return settings(images, method=method, save={"state_every_n_steps": 2, "every_n_steps": 2, "every_n_epochs": 1},
                    sample={"every_n_steps": 3, "prompts": ["a photo of ron cat"], "steps": 2})


def start(data: Path, config: dict, moment: int, fault: str = "kill") -> subprocess.CompletedProcess:
    """A process that trains `config` in `data`, or goes on, until its moment of that number (0: never): there it is
    killed, or its disk is full.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", WORKER, str(data), json.dumps(config), str(moment), fault],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def promised(data: Path) -> dict[str, bytes]:
    """Path below `data` -> bytes of every file that the settings promise, and the log's steps."""
    folders = [data / place for place in ("models", "embeddings", "sdtune/runs/ron/samples")]
    files = {path.relative_to(data).as_posix(): path.read_bytes() for folder in folders for path in folder.rglob("*")
             if path.suffix in COMPARED or path.name in CARDS}
    rows = log.read(data / "sdtune/runs/ron/log.csv")
    return files | {"log.csv": json.dumps([(row["step"], row["loss"], row["lr"]) for row in rows]).encode()}


def differences(whole: dict[str, bytes], resumed: dict[str, bytes], data: Path) -> list[str]:
    """What is missing, other, or left over after the resumed run, by name."""
    missing = [f"{name} is missing" for name in whole if name not in resumed]
    other = [f"{name} differs" for name in whole if name in resumed and whole[name] != resumed[name]]
    more = [f"{name} is one too many" for name in resumed if name not in whole]
    return (
        missing + other + more + [f"{path.name} was left" for path in data.rglob("*.tmp") if "cache" not in path.parts]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=registry.names(), choices=registry.names())
    parser.add_argument("--kills", type=int, default=20, help="moments tried of each method")
    parser.add_argument("--seed", type=int, default=0, help="chooses the moments")
    parser.add_argument("--every", action="store_true", help="all moments in place of some")
    parser.add_argument("--full-disk", action="store_true", help="the disk is full from there on, in place of a kill")
    args = parser.parse_args()
    fault, codes = ("full disk", (0, FULL)) if args.full_disk else ("kill", (0, -signal.SIGKILL))
    total = files = 0
    with tempfile.TemporaryDirectory() as folder:
        images = pictures(Path(folder) / "2_ron", count=2)
        for method in args.methods:
            config, data = config_of(method, images), Path(folder) / method
            run = start(data / "whole", config, 0)
            assert run.returncode == 0, run.stderr
            moments, whole = int(run.stdout.split()[-1]), promised(data / "whole")
            chosen = range(1, moments + 1) if args.every else sorted(
                random.Random(f"{args.seed} {method}").sample(range(1, moments + 1), min(args.kills, moments)))
            bad = unreached = 0
            for moment in chosen:
                place = data / str(moment)
                hit = start(place, config, moment, fault)
                assert hit.returncode in codes, hit.stderr
                unreached += not hit.returncode
                again = start(place, config, 0) if hit.returncode else hit
                found = (
                    [again.stderr.strip().splitlines()[-1]]
                    if again.returncode
                    else differences(whole, promised(place), place)
                )
                bad += bool(found)
                for text in found:
                    print(f"{method}, moment {moment}: {text}", flush=True)
            print(f"{method}: {len(chosen)} of {moments} moments, {len(whole)} files compared after each, {bad} with a "
                  f"difference, {unreached} {'went on by themselves' if args.full_disk else 'after the end'}",
                  flush=True)
            total, files = total + bad, files + len(chosen) * len(whole)
    print(f"{files} files compared, {total} moments with a difference")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
