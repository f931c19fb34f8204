"""What the Check button says about the pictures, in words a person would use."""

from math import ceil
from pathlib import Path

from lib_sdtune.errors import NameTaken
from lib_sdtune.ui.boxes import box, listing


def report(made, jobs):
    """HTML about the run that CONFIG `made` describes. UserError for whatever would stop Start."""
    from lib_sdtune.data.loader import Dataset

    config = jobs.read(made)
    found = jobs.look(config)
    dataset = Dataset(found, config)
    lines = [counted(found.pictures), shapes(dataset), arithmetic(dataset, config), time(dataset, config, jobs),
             room(dataset, config, jobs)]
    parts = [box("red", taken(config, jobs)), box("plain", *lines), box("yellow", *problems(found), wordless(dataset)),
             listing("Captions as they will be read", captions(dataset))]
    return f'<div class="sdtune-check">{"".join(parts)}</div>'


def taken(config, jobs):
    """Why the name cannot be used, or ""."""
    from lib_sdtune.training.runs import check_new, folder_of

    try:
        check_new(config, jobs.host, folder_of(jobs.host, config.name))
        return ""
    except NameTaken as problem:
        return str(problem)


def counted(pictures):
    own = [picture for picture in pictures if not picture.is_class]
    written = sum(picture.caption_from == "file" for picture in own)
    having = f"{written or 'none'} with {'a caption of its own' if written == 1 else 'captions of their own'}"
    classes = len(pictures) - len(own)
    return f"{plural(len(own), 'picture')}, {having}" + (f"; {plural(classes, 'regularisation picture')}" if classes else "") + "."


def problems(found, most=12):
    """Sentences about single files, those that are left out first."""
    ordered = sorted(found.problems, key=lambda problem: not problem.fatal)
    texts = [problem.text for problem in ordered]
    return texts[:most] + ([f"{len(texts) - most} more files have something of the kind."] if len(texts) > most else [])


def wordless(dataset):
    count = sum(not example.caption for example in examples(dataset))
    return f"{plural(count, 'picture')} will be learned without a word; fill in Trigger words or write captions." if count else ""


def shapes(dataset, most=6):
    counts = sorted(dataset.bucket_counts.items(), key=lambda entry: -entry[1])
    text = ", ".join(f"{width} × {height} ({count})" for (width, height), count in counts[:most])
    return f"Sizes: {text}" + (f" and {len(counts) - most} others." if len(counts) > most else ".")


def arithmetic(dataset, config):
    """"14 pictures × 10 repeats ÷ batch 2 = 70 steps an epoch; 1,400 steps = 20 epochs.\""""
    own = [picture for picture in dataset.pictures if not picture.is_class]
    repeats = {picture.repeats for picture in own}
    shown = sum(picture.repeats for picture in own)
    times = f" × {plural(repeats.pop(), 'repeat')}" if len(repeats) == 1 else f" = {shown} with their repeats"
    classes = dataset.examples_per_epoch - shown
    batch = config.train.batch_size * config.train.gradient_accumulation_steps
    more = f" + {classes} regularisation" if classes else ""
    divided = f" ÷ batch {batch}" if batch > 1 else ""
    total, epochs = length(dataset, config)
    rounded = f"{epochs:.3g}" if epochs < 1000 else f"{epochs:,.0f}"
    odd = "" if dataset.steps_per_epoch == ceil(dataset.examples_per_epoch / batch) else " (a batch holds pictures of one size)"
    sum_of_epoch = f"{plural(len(own), 'picture')}{times}{more}{divided} = {plural(dataset.steps_per_epoch, 'step')} an epoch{odd}"
    return f"{sum_of_epoch}; {plural(total, 'step')} = {rounded} epochs."


def length(dataset, config):
    """(steps, epochs) of the whole run."""
    if config.train.max_train_epochs:
        return config.train.max_train_epochs * dataset.steps_per_epoch, config.train.max_train_epochs
    return config.train.max_train_steps, config.train.max_train_steps / dataset.steps_per_epoch


def time(dataset, config, jobs):
    """From what a step took in an earlier run of this method; it says where the figure comes from."""
    earlier = [run for run in jobs.runs() if run["method"] == config.method and run["seconds_per_step"]]
    if not earlier:
        return "How long it takes is known after the first steps."
    pace = max(earlier, key=lambda run: run.get("updated") or 0)["seconds_per_step"]
    return f"About {duration(length(dataset, config)[0] * pace)}, if a step takes {pace:.2g} s as in the last run."


def room(dataset, config, jobs):
    """Disk: what an earlier file of this method took, times the files of this run."""
    from lib_sdtune.formats.files import free_space

    free = size(free_space(jobs.host.folder("sdtune")))
    every, total = config.save.every_n_steps, length(dataset, config)[0]
    by_epoch = config.save.every_n_epochs and total // (config.save.every_n_epochs * dataset.steps_per_epoch)
    files = 1 + min((total // every if every else 0) + by_epoch, config.save.keep_last or 10**6)
    largest = largest_artefact(config, jobs)
    return f"Disk: {plural(files, 'file')}{f' of about {size(largest)}' if largest else ''}; {free} are free."


def largest_artefact(config, jobs):
    paths = [Path(path) for run in jobs.runs() if run["method"] == config.method for path in run["artefacts"]]
    return max((path.stat().st_size for path in paths if path.is_file()), default=0)


def captions(dataset, most=5):
    """Pictures' captions as the trainer will see them the first time."""
    found = examples(dataset)
    spread = [found[number * len(found) // most] for number in range(most)] if len(found) > most else found
    return [f"{example.picture.path.name}: {example.caption or '(empty)'}" for example in spread]


def examples(dataset):
    return [dataset.example(index, 0) for index in dataset.chosen if not dataset.scan.pictures[index].is_class]


def plural(count, noun):
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size(count):
    return f"{count / 2**30:,.1f} GB" if count >= 2**30 else f"{max(1, round(count / 2**20)):,} MB"


def duration(seconds):
    minutes = round(seconds / 60)
    if minutes < 1:
        return plural(round(seconds), "second")
    return plural(minutes, "minute") if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
