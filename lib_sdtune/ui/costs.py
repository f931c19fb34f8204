"""What the Check button says about what a run takes: its time, that of its samples, and its room on the disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lib_sdtune.sentences import plural
from lib_sdtune.services import durations

if TYPE_CHECKING:
    from lib_sdtune.app import App
    from lib_sdtune.config import Config
    from lib_sdtune.data.loader import Dataset

PHRASES = (  # what is put together of parts below
    "About {1} ({2} to {3}), {4}.", "About {1}, {2}.", 'roughly, from the run "{1}", which trained another method',
    'measured with the same settings in the run "{1}"', 'scaled from the run "{1}", a step of which had {2}',
    "{1} times as many pixels", "as many pixels and other options", " of about {1}", "{1} file", "{1} files",
    "{1} file of about {2}", "{1} files of about {2}", "{1} second", "{1} seconds", "{1} minute", "{1} minutes",
    "{1} h {2} min", "{1} prompt", "{1} prompts", "{1} time", "{1} times", "before the first step and at every tenth",
    "as in the last run", "counted, not measured", "even one would take more than {1} % of the time")


def told(dataset: "Dataset", config: "Config", app: "App") -> Iterator[str]:
    """A sentence for each, "" where there is nothing to say of it."""
    yield time(dataset, config, app)
    yield samples(dataset, config, app)
    yield disk_space(dataset, config, app)
    yield resume_points(config, app)


def time(dataset: "Dataset", config: "Config", app: "App") -> str:
    """From what the steps of earlier runs took on this machine; it says how sure that is, and what it rests on."""
    expected = durations.expected(config, app.host, app.jobs.runs(), app.jobs.config, dataset.total_steps,
                                  dataset.steps_per_epoch)
    if expected is None:
        return "How long it takes is known after the first steps: nothing like it was trained here yet."
    step = expected.step
    named = f'the run "{step.measured.run}"'
    if not step.same_method:
        basis = f"roughly, from {named}, which trained another method"
    elif abs(step.ratio - 1) < 0.01 and step.high < 1.2 * step.seconds:
        basis = f"measured with the same settings in {named}"
    else:
        basis = f"scaled from {named}, a step of which had {pixels(step.ratio)}"
    besides = " Samples, validation and saving are counted." if expected.besides else ""
    low, high = duration(expected.low), duration(expected.high)
    about = f"{duration(expected.seconds)} ({low} to {high})" if low != high else low
    return f"About {about}, {basis}.{besides}"


def pixels(ratio: float) -> str:
    """How many pixels the other had, of which this has `ratio` times as many."""
    if abs(ratio - 1) < 0.01:
        return "as many pixels and other options"
    return f"{1 / ratio:.2g} times as many pixels"


def samples(dataset: "Dataset", config: "Config", app: "App") -> str:
    """How often samples are drawn and what share of the time they take, counted, or as measured in the last run."""
    from lib_sdtune.training.sample_requests import cost_in_steps, sample_requests
    from lib_sdtune.training.sample_times import MAX_SHARE, TENTHS, SampleTimes

    requests, total = sample_requests(config, dataset), dataset.total_steps
    cost = measured = cost_in_steps(config, requests)
    times = SampleTimes(config.sample, total, cost)
    for run in sorted(app.jobs.runs(), key=lambda run: run.get("updated") or 0):
        pace, seconds = run["seconds_per_step"], run.get("seconds_per_round_of_samples")
        if run["method"] == config.method and pace and seconds and run.get("sample_prompts"):
            measured = seconds / pace * len(requests) / len(run["sample_prompts"])
    sample = config.sample
    every = sample.every_n_steps if isinstance(sample.every_n_steps, int) else 0
    rounds = times.rounds(measured) if times.auto else total // every if every else 0
    rounds += total // (sample.every_n_epochs * dataset.steps_per_epoch) if sample.every_n_epochs else 0
    if not rounds:
        why = f"even one would take more than {100 * MAX_SHARE:.0f} % of the time"
        return f"Samples: none, because {why}." if times.auto else ""
    share = rounds * measured / (total + rounds * measured)
    often = "before the first step and at every tenth" if times.auto and rounds > TENTHS else plural(rounds, "time")
    source = "as in the last run" if measured != cost else "counted, not measured"
    return f"Samples: {plural(len(requests), 'prompt')}, {often}; about {100 * share:.0f} % of the time, {source}."


def disk_space(dataset: "Dataset", config: "Config", app: "App") -> str:
    """Disk: what an earlier file of this method took, times the files of this run."""
    from lib_sdtune.formats.files import free_space

    interval, total = config.save.every_n_steps, dataset.total_steps
    by_epoch = config.save.every_n_epochs and total // (config.save.every_n_epochs * dataset.steps_per_epoch)
    files = 1 + min((total // interval if interval else 0) + by_epoch, config.save.keep_last or 10**6)
    largest = largest_artefact(config, app)
    per_file = f" of about {size(largest)}" if largest else ""
    return f"Disk: {plural(files, 'file')}{per_file}; {size(free_space(app.host.folder('sdtune')))} are free."


def resume_points(config: "Config", app: "App") -> str:
    """What an earlier run of this method keeps, so that it can be resumed or trained longer; "" where none does."""
    folders = [app.jobs.folder(run["id"]).path / "state" for run in app.jobs.runs() if run["method"] == config.method]
    kept = max((sum(path.stat().st_size for path in folder.glob("*.safetensors")) for folder in folders), default=0)
    return f"Resume points take about {size(kept)} besides, and stay until the run is deleted." if kept else ""


def largest_artefact(config: "Config", app: "App") -> int:
    paths = [Path(path) for run in app.jobs.runs() if run["method"] == config.method for path in run["artefacts"]]
    return max((path.stat().st_size for path in paths if path.is_file()), default=0)


def size(count: int) -> str:
    return f"{count / 2**30:,.1f} GB" if count >= 2**30 else f"{max(1, round(count / 2**20)):,} MB"


def duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return plural(round(seconds), "second")
    return plural(minutes, "minute") if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
