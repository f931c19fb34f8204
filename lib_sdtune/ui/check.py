"""What the Check button says about the pictures, in words a person would use."""

from math import ceil
from pathlib import Path

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.ui.boxes import box, listing


def report(made, door):
    """HTML about the run that CONFIG `made` describes."""
    config = Config.from_dict(made)
    found = scan(config)
    return join(box("red", *fatal(found)), summary(found, config, door), box("yellow", *warnings(found)), captions(found, config))


def scan(config):
    from lib_sdtune.data import folder

    for concept in config.concepts:
        if not concept.images.strip():
            raise UserError('"concepts[0].images" is empty; give the folder of your pictures.')
    return folder.scan(config.concepts, config.dataset, config.loss, Path.cwd())


def fatal(found):
    return [f"{Path(problem.path).name}: {problem.text}" for problem in found.problems if problem.fatal]


def warnings(found):
    texts = [f"{Path(problem.path).name}: {problem.text}" for problem in found.problems if not problem.fatal]
    return texts[:12] + ([f"and {len(texts) - 12} more like these"] if len(texts) > 12 else [])


def summary(found, config, door):
    own = [picture for picture in found.pictures if not picture.is_class]
    classes = len(found.pictures) - len(own)
    lines = [counted(own, classes), shapes(found.pictures, config), arithmetic(found.pictures, config), time(found.pictures, config, door)]
    return box("plain", *[line for line in lines if line])


def counted(own, classes):
    written = sum(picture.caption_from == "file" for picture in own)
    having = f"{written or 'none'} with {'a caption of its own' if written == 1 else 'captions of their own'}"
    text = f"{plural(len(own), 'picture')}, {having}"
    return text + (f", {plural(classes, 'regularisation picture')}" if classes else "") + "."


def shapes(pictures, config):
    from lib_sdtune.data.buckets import Buckets

    buckets, counts = Buckets(config.dataset), {}
    for picture in pictures:
        size = buckets.place(picture.width, picture.height).size
        counts[size] = counts.get(size, 0) + 1
    common = sorted(counts.items(), key=lambda entry: -entry[1])
    text = ", ".join(f"{count} at {width} × {height}" for (width, height), count in common[:6])
    return f"Sizes: {text}" + (f", and {len(common) - 6} other sizes." if len(common) > 6 else ".")


def arithmetic(pictures, config):
    """"14 pictures × 10 repeats ÷ batch 2 = 70 steps an epoch; 1400 steps = 20 epochs.\""""
    batch = config.train.batch_size * config.train.gradient_accumulation_steps
    repeats = {picture.repeats for picture in pictures}
    shown = sum(picture.repeats for picture in pictures)
    per_epoch = max(1, ceil(shown / batch))
    total, epochs = steps(config, per_epoch), epochs_of(config, per_epoch)
    times = f" × {plural(repeats.pop(), 'repeat')}" if len(repeats) == 1 else f" = {shown} with their repeats"
    divided = f" ÷ batch {batch}" if batch > 1 else ""
    return (f"{plural(len(pictures), 'picture')}{times}{divided} = {plural(per_epoch, 'step')} an epoch; "
            f"{plural(total, 'step')} = {epochs:.3g} {'epoch' if epochs == 1 else 'epochs'}.")


def steps(config, per_epoch):
    return config.train.max_train_epochs * per_epoch if config.train.max_train_epochs else config.train.max_train_steps


def epochs_of(config, per_epoch):
    return config.train.max_train_epochs or config.train.max_train_steps / per_epoch


def time(pictures, config, door):
    """From what a step took in the last run of this method; honest about where the figure comes from."""
    paces = [run["seconds_per_step"] for run in (door.jobs.runs() if door.jobs else [])
             if run.get("method") == config.method and run.get("seconds_per_step")]
    if not paces:
        return "How long it takes is known after the first steps."
    batch = config.train.batch_size * config.train.gradient_accumulation_steps
    per_epoch = max(1, ceil(sum(picture.repeats for picture in pictures) / batch))
    return f"About {duration(steps(config, per_epoch) * paces[-1])}, if a step takes as long as in an earlier run ({paces[-1]:.2g} s)."


def captions(found, config):
    """Five pictures' captions as the trainer will see them."""
    own = [picture for picture in found.pictures if not picture.is_class]
    spread = own[:: max(1, len(own) // 5)][:5]
    return listing("Captions as they will be read", [f"{Path(p.path).name}: {p.caption or '(empty)'}" for p in spread])


def plural(count, noun):
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds):
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{round(seconds)} seconds"
    return plural(minutes, "minute") if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def join(*parts):
    return '<div class="sdtune-check">' + "".join(parts) + "</div>" if any(parts) else ""


