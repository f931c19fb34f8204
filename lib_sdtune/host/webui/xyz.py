"""An axis for the WebUI's own X/Y/Z plot: "SD Tune epoch", the saved files of our runs."""

from modules import scripts

LABEL = "SD Tune epoch"  # constant, for it stands in infotexts


def add(host):
    """Add the axis to the script, once. `host()` gives whose runs when the choices are asked for."""
    for data in scripts.scripts_data:
        module = data.module
        options = getattr(module, "axis_options", None)
        if options is None or any(option.label == LABEL for option in options):
            continue
        options.append(module.AxisOption(LABEL, str, lambda p, x, xs: apply(p, x, host()), confirm=lambda p, xs: confirm(xs, host()),
                                         choices=lambda: list(files(host()))))


def files(host):
    """{name of the file: its `Candidate`} over all runs that have any, but for checkpoints, which have an axis of their own."""
    from lib_sdtune.errors import UserError
    from lib_sdtune.evaluation.candidates import of_run
    from lib_sdtune.training.runs import all_runs

    found = {}
    for run in all_runs(host):
        try:
            found |= {one.stem: one for one in of_run(host, run) if one.kind != "checkpoints"}
        except UserError:
            continue
    return found


def confirm(xs, host):
    known = files(host)
    for x in xs:
        if x not in known:
            raise RuntimeError(f"Unknown SD Tune epoch: {x}")


def apply(p, x, host):
    """The prompt with this file instead of the run's own, at the weight that stands there."""
    from lib_sdtune.evaluation.candidates import weight_in

    one = files(host)[x]
    p.prompt = one.prompt(p.prompt, weight_in(p.prompt, one))
