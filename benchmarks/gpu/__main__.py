"""Check and measure a GPU with random models of Stable Diffusion 1.5's and SDXL's shape; nothing is downloaded.

    python -m benchmarks.gpu [--json gpu.json] [--minutes 8] [--device cuda] [--size full]

It checks that every method trains in half precision as in float32, that a model comes back bit for bit after the device
was full, that CUDA graphs learn the same, and that a resumed run goes on as if it had not stopped. It measures a step,
without graphs and with: milliseconds, memory, how near it comes to forward and backward alone, and the same step as
sd-scripts writes it. What there was no time or no room for is named.
--device cpu --size tiny tries the command itself.
"""

import argparse
import gc
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.gpu.checks import CHECKS
from benchmarks.gpu.measuring import CASES, HEADER, measure, row
from benchmarks.gpu.models import SIZES
from benchmarks.gpu.page import describe_device
from lib_sdtune.devices import empty_cache
from lib_sdtune.errors import TooLittleMemory
from lib_sdtune.training.memory.frames import free_frames

NO_TIME = "no time was left"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--size", default="full", choices=sorted(SIZES), help="full: the real shapes; tiny: a trial")
    parser.add_argument("--minutes", type=float, default=8, help="nothing is begun after so many")
    parser.add_argument("--steps", type=int, default=10, help="that are measured of each kind")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("There is no GPU that torch can use here; run this where there is one.", file=sys.stderr)
        return 2
    device = torch.device(arguments.device)
    deadline = time.monotonic() + 60 * arguments.minutes
    report = {"device": describe_device(device), "torch": torch.__version__, "size": arguments.size,
              "checks": [], "steps": [], "left_out": []}
    print(f"{report['device']}, torch {report['torch']}, {arguments.size} models\n\n{HEADER}", flush=True)
    for case in CASES:
        if time.monotonic() > deadline:
            report["left_out"].append(f"{case.title} ({NO_TIME})")
            continue
        try:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:  # Windows: what is mapped stays
                figures = measure(case, device, arguments.size, arguments.steps, Path(work))
        except Exception as error:  # a small card has no room for every case
            report["left_out"].append(f"{case.title} ({reason(error, device)})")
            continue
        if figures["missing"]:
            report["left_out"].append(f"{case.title}, {figures['missing']}")
        report["steps"].append(figures)
        print(row(figures), flush=True)
    print()
    for name, check in CHECKS.items():
        if time.monotonic() > deadline:
            report["left_out"].append(f"{name} ({NO_TIME})")
            continue
        try:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
                passed, detail = check(device, arguments.size, Path(work))
        except TooLittleMemory as error:
            report["left_out"].append(f"{name} ({reason(error, device)})")
            continue
        except Exception as error:
            passed, detail = False, reason(error, device)
        report["checks"].append({"name": name, "passed": passed, "detail": detail})
        print(f"{'passed' if passed else 'FAILED'}: {name} ({detail})", flush=True)
    if report["left_out"]:
        print(f"Left out: {'; '.join(report['left_out'])}")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if all(each["passed"] for each in report["checks"]) else 1


def reason(error: Exception, device: torch.device) -> str:
    """Why a case has no figures, after what it held on the device is free again."""
    text = f"{type(error).__name__}: {error}".split("\n")[0]
    free_frames(error)
    gc.collect()
    empty_cache(device)
    return text


if __name__ == "__main__":
    sys.exit(main())
