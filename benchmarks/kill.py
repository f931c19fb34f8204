"""Kill a run at moments of every kind, resume it, and compare all files with those of a run that was left alone.

    python -m benchmarks.kill [--methods lora dreambooth ...] [--kills 20] [--seed 0] [--every] [--full-disk] [--jobs 2]

A moment is right before or right after a write to the disk or a rename: all are counted. What goes by the clock
(status.json) moves them a little from run to run, so that the last may come after a run's end. `--every` tries all of
them. With `--full-disk` nothing is killed: from that moment on the disk takes nothing more, until the run has paused or
ended because of it; then there is room, and it goes on by itself or is resumed.

Compared are the bytes of every file that the settings promise: the final file and those on its way with their cards and
previews, the samples, and the steps in log.csv. What differs is named; the last line is the sum.

The processes that meet a fault are forked from a server that has loaded torch already; the one whose files they are
compared with is a process of its own, so that Python's order of sets and hashes is another one.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.faulty_run import FULL_DISK, work
from lib_sdtune.methods import registry
from lib_sdtune.training import log_csv
from tests.hosts import pictures, settings

CODES = {"kill": (0, -signal.SIGKILL), "full disk": (0, FULL_DISK)}
COMPARED = (".safetensors", ".pt", ".png")
CARDS = ("ron.json",)
PRELOADED = ["benchmarks.faulty_run", "torch._dynamo"]  # torch's optimizers load the second: half a worker's seconds


def config_of(method: str, images: Path) -> dict:
    """A run of six steps with everything that a run can leave behind."""
    return settings(images, method=method, save={"state_every_n_steps": 2, "every_n_steps": 2, "every_n_epochs": 1},
                    sample={"every_n_steps": 3, "prompts": ["a photo of ron cat"], "steps": 2})


@dataclass
class Ended:
    """How a worker ended: its exit code, the moments that it counted, and what it wrote to stderr."""

    code: int
    moments: int
    stderr: str


def start(data: Path, config: dict, moment: int, fault: str = "kill", server: str = "forkserver") -> Ended:
    """A process that trains `config` in `data`, or goes on, until its moment of that number (0: never): there it is
    killed, or its disk is full. `server`: how multiprocessing starts it.
    """
    report = data.with_name(f"{data.name}.moments")
    report.unlink(missing_ok=True)
    report.parent.mkdir(parents=True, exist_ok=True)
    process = multiprocessing.get_context(server).Process(target=work, args=(data, config, moment, fault, report))
    process.start()
    process.join()
    moments = int(report.read_text(encoding="utf-8")) if report.is_file() else 0
    return Ended(process.exitcode, moments, report.with_suffix(".stderr").read_text(encoding="utf-8"))


def promised(data: Path) -> dict[str, bytes]:
    """Path below `data` -> bytes of every file that the settings promise, and the log's steps."""
    folders = [data / place for place in ("models", "embeddings", "sdtune/runs/ron/samples")]
    files = {path.relative_to(data).as_posix(): path.read_bytes() for folder in folders for path in folder.rglob("*")
             if path.suffix in COMPARED or path.name in CARDS}
    rows = log_csv.read(data / "sdtune/runs/ron/log.csv")
    return files | {"log.csv": json.dumps([(row["step"], row["loss"], row["lr"]) for row in rows]).encode()}


def differences(expected: dict[str, bytes], resumed: dict[str, bytes], data: Path) -> list[str]:
    """What is missing, other, or left over after the resumed run, by name."""
    missing = [f"{name} is missing" for name in expected if name not in resumed]
    other = [f"{name} differs" for name in expected if name in resumed and expected[name] != resumed[name]]
    more = [f"{name} is one too many" for name in resumed if name not in expected]
    left = [f"{path.name} was left" for path in data.rglob("*.tmp") if "cache" not in path.parts]
    return missing + other + more + left


def try_moment(folder: Path, config: dict, fault: str, expected: dict[str, bytes],
               moment: int) -> tuple[bool, list[str]]:
    """Whether the fault ended the run at that moment, and what differs after it went on. Its files are gone afterwards.
    """
    data = folder / str(moment)
    ended = start(data, config, moment, fault)
    if ended.code not in CODES[fault]:
        return True, [f"ended with {ended.code}: {ended.stderr[-500:]}"]
    resumed = start(data, config, 0) if ended.code else ended
    faults = [f"resume ended with {resumed.code}: {resumed.stderr[-500:]}"] if resumed.code else differences(
        expected, promised(data), data)
    shutil.rmtree(data)
    return bool(ended.code), faults


def try_method(method: str, images: Path, folder: Path, args: argparse.Namespace) -> tuple[int, int]:
    """Every chosen moment of a method's run. Returns how many files were compared, and at how many moments one
    differed.
    """
    fault = "full disk" if args.full_disk else "kill"
    config, data = config_of(method, images), folder / method
    run = start(data / "undisturbed", config, 0, server="spawn")
    assert run.code == 0, run.stderr
    expected = promised(data / "undisturbed")
    chosen = range(1, run.moments + 1) if args.every else sorted(
        random.Random(f"{args.seed} {method}").sample(range(1, run.moments + 1), min(args.kills, run.moments)))
    differing = unreached = 0
    own_servers = ProcessPoolExecutor(args.jobs, multiprocessing.get_context("spawn"), preload)
    with own_servers as pool:
        results = pool.map(partial(try_moment, data, config, fault, expected), chosen)
        for moment, (reached, faults) in zip(chosen, results, strict=True):
            unreached, differing = unreached + (not reached), differing + bool(faults)
            for text in faults:
                print(f"{method}, moment {moment}: {text}", flush=True)
    rest = "went on by themselves" if args.full_disk else "after the end"
    print(f"{method}: {len(chosen)} of {run.moments} moments, {len(expected)} files compared after each, {differing} "
          f"with a difference, {unreached} {rest}", flush=True)
    return len(chosen) * len(expected), differing


def preload() -> None:
    """The server of this process forks workers that have loaded what takes long."""
    multiprocessing.set_forkserver_preload(PRELOADED)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=registry.names(), choices=registry.names())
    parser.add_argument("--kills", type=int, default=20, help="moments tried of each method")
    parser.add_argument("--seed", type=int, default=0, help="chooses the moments")
    parser.add_argument("--every", action="store_true", help="all moments in place of some")
    parser.add_argument("--full-disk", action="store_true", help="the disk is full from there on, in place of a kill")
    parser.add_argument("--jobs", type=int, default=2, help="moments tried at the same time")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    files = total = 0
    with tempfile.TemporaryDirectory() as folder:
        images = pictures(Path(folder) / "2_ron", count=2)
        for method in args.methods:
            compared, differing = try_method(method, images, Path(folder), args)
            files, total = files + compared, total + differing
    print(f"{files} files compared, {total} moments with a difference")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
