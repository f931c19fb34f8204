"""An axis for the WebUI's own X/Y/Z plot: "SD Tune epoch", the saved files of our runs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from modules import scripts

if TYPE_CHECKING:  # importing them imports torch
    from lib_sdtune.evaluation.candidates import Candidate
    from lib_sdtune.host.base import Host

LABEL = "SD Tune epoch"  # constant, for it stands in infotexts


def add(host: "Callable[[], Host]") -> None:
    """Add the axis to the script, once. `host()` gives whose runs when the choices are asked for."""
    for data in scripts.scripts_data:
        module = data.module
        options = getattr(module, "axis_options", None)
        if options is None or any(option.label == LABEL for option in options):
            continue
        options.append(module.AxisOption(LABEL, str, lambda p, x, xs: apply(p, x, host()),
                                         confirm=lambda p, xs: confirm(xs, host()),
                                         choices=lambda: list(files(host()))))


def files(host: "Host") -> "dict[str, Candidate]":
    """{name of the file: its `Candidate`} over all runs that have any.

    Checkpoints are left out: the plot has an axis for them.
    """
    from lib_sdtune.errors import UserError
    from lib_sdtune.evaluation.candidates import of_run
    from lib_sdtune.training.runs import all_runs

    candidates: dict[str, Candidate] = {}
    for run in all_runs(host):
        try:
            candidates |= {candidate.stem: candidate for candidate in of_run(host, run)
                           if candidate.kind != "checkpoints"}
        except UserError:
            continue
    return candidates


def confirm(xs: list[str], host: "Host") -> None:
    candidates = files(host)
    for x in xs:
        if x not in candidates:
            raise RuntimeError(f"Unknown SD Tune epoch: {x}")


def apply(p: Any, x: str, host: "Host") -> None:
    """The prompt with this file instead of the run's own, at the weight that stands there."""
    from lib_sdtune.evaluation.candidates import weight_in

    candidate = files(host)[x]
    p.prompt = candidate.prompt(p.prompt, weight_in(p.prompt, candidate))
