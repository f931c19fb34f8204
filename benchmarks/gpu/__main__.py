"""Check and measure a GPU with random models of Stable Diffusion 1.5's and SDXL's shape; nothing is downloaded.

    python -m benchmarks.gpu [--json gpu.json] [--minutes 8] [--device cuda] [--size full]

It checks that every method trains in half precision as in float32, that a model comes back bit for bit after the device
was full, that CUDA graphs learn the same, and that a resumed run goes on as if it had not stopped. It measures a step,
without graphs and with: milliseconds, memory, how near it comes to forward and backward alone, and the same step as
sd-scripts writes it. What there was no time or no room for is named.
--device cpu --size tiny tries the command itself.
"""

import argparse
import sys
from pathlib import Path

import torch

from benchmarks.gpu.checks import CHECKS
from benchmarks.gpu.jobs import JobFailed, Jobs
from benchmarks.gpu.measuring import CASES, Case, measure
from benchmarks.gpu.models import SIZES
from benchmarks.gpu.page import describe_device
from benchmarks.gpu.report import Report

FOR_CASES = 0.5  # of the time; then the checks' turn comes, and what is left over is the other cases'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--size", default="full", choices=sorted(SIZES), help="full: the real shapes; tiny: a trial")
    parser.add_argument("--minutes", type=float, default=8, help="after so many it has ended")
    parser.add_argument("--steps", type=int, default=10, help="that are measured of each kind, where they are fast")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("There is no GPU that torch can use here; run this where there is one.", file=sys.stderr)
        return 2
    device = torch.device(arguments.device)
    report = Report(describe_device(device), torch.__version__, arguments.size, arguments.json)
    jobs = Jobs(report, device, arguments.minutes)
    jobs.waiting = [*(case.title for case in CASES), *CHECKS]
    with jobs.ending_in_time():
        time_of_checks = (1 - FOR_CASES) * jobs.left()
        cases = list(CASES)
        while cases and not 0 < jobs.left() <= time_of_checks:
            measure_case(jobs, report, cases.pop(0), device, arguments)
        for name in CHECKS:
            check(jobs, report, name, device, arguments)
        for case in cases:
            measure_case(jobs, report, case, device, arguments)
    return report.end()


def measure_case(jobs: Jobs, report: Report, case: Case, device: torch.device, arguments: argparse.Namespace) -> None:
    try:
        jobs.run(case.title, lambda work: report.add_step(measure(case, device, arguments.size, arguments.steps, work)))
    except JobFailed as error:
        report.leave_out(f"{case.title} ({error})")


def check(jobs: Jobs, report: Report, name: str, device: torch.device, arguments: argparse.Namespace) -> None:
    try:
        jobs.run(name, lambda work: report.add_check(name, *CHECKS[name](device, arguments.size, work)))
    except JobFailed as error:
        report.add_check(name, False, str(error))


if __name__ == "__main__":
    sys.exit(main())
