"""The work on a folder: what has to be made is made, what is there already stays, what its owner changed is left alone."""

import json
from dataclasses import asdict, dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image

from lib_sdtune.data import captions
from lib_sdtune.data.parallel import ordered
from lib_sdtune.data.paths import absolute, fit_for_pictures, locate
from lib_sdtune.data.picture import Unreadable, check_sums, decoded, drafted, fingerprint, opened, orientation, read_bytes, upright
from lib_sdtune.data.prepare import crop, picture
from lib_sdtune.data.prepare.batch import Batch
from lib_sdtune.data.prepare.manifest import Manifest
from lib_sdtune.data.prepare.settings import PrepareConfig, check, edited, expressions
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.data.walk import walk
from lib_sdtune.errors import UserError

LONGEST = 200  # bytes of a name; disks allow some 255 with everything that is put behind it


@dataclass
class Outcome:
    """made: files written; kept: files that were right already; removed: files of earlier settings; problems: what to know."""

    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """One original: how the files made from it are called (without suffix), and what it needs."""

    found: object
    stem: str
    box: tuple | None
    caption: str
    key: str


def prepare(source, out, settings=None, progress=None, boxes=None, describe=None, base="."):
    """Prepare every picture below `source` into `out`; `Outcome`.

    boxes: {relative path: (left, top, right, bottom) as fractions} of crops drawn by hand; those of an earlier call stay unless they
    are replaced, by None to have none. describe(RGB image) -> caption for
    pictures that have none. progress(done, total, text) may raise to stop; the next call goes on. UserError before anything
    is written if the folders or settings are wrong.
    """
    settings = settings or PrepareConfig()
    check(settings)
    outcome = Outcome()
    source, out = folders(source, out, base)
    found = walk(source, outcome.problems)
    if not found:
        raise UserError(f"{printable(source)} holds no pictures.")
    boxes, manifest = boxes or {}, Manifest(out)
    refuse_crops(boxes, {printable(one.relative) for one in found})
    jobs = list(jobs_of(found, settings, manifest.boxes() | boxes, outcome))
    edit = editor(settings, jobs)
    writable(out)
    return worked(jobs, manifest, settings, edit, progress or (lambda *_: None), describe, outcome)


def preview(path, settings=None, box=None):
    """[(name suffix, image, what was done)] of one picture, nothing written: the "after" of a before/after view."""
    settings = settings or PrepareConfig()
    check(settings)
    try:
        image, size, _ = original(path, enough=partial(picture.enough, settings, box))
        return picture.made(image, settings, box, size)
    except Unreadable as error:
        raise UserError(f"{printable(Path(path).name)} {error}.") from error


def folders(source, out, base):
    """Both folders, absolute; UserError where the originals could come to harm."""
    source = locate(str(source), base, "IN")
    if not str(out).strip():
        raise UserError("OUT is empty; give a folder for the prepared pictures.")
    out = absolute(str(out), base)
    fit_for_pictures(out, str(out), "OUT")
    inner, outer = out.resolve(), source.resolve()
    if inner == outer or inner.is_relative_to(outer):
        raise UserError(f"OUT {printable(out)} lies in IN; the prepared pictures would be prepared again. Give a folder beside it.")
    if outer.is_relative_to(inner):
        raise UserError(f"IN {printable(source)} lies in OUT; give OUT a folder of its own, so that originals and results stay apart.")
    if out.exists() and not out.is_dir():
        raise UserError(f"OUT {printable(out)} is a file; give a folder.")
    return source, out


def writable(out):
    """The folder is there and takes files, or a UserError says why not."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".sdtune-can-write"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"OUT {printable(out)} can't be written to ({error.strerror or error}); give another folder.") from error


def jobs_of(found, settings, boxes, outcome):
    """One `Job` per original, with names that don't collide on any system."""
    taken = set()
    for one in found:
        relative = Path(one.relative)
        wanted = Path(settings.folder) / relative.stem if settings.folder else relative.with_suffix("")
        wanted = Path(printable(wanted).replace("?", "_"))
        wanted = wanted.with_name(wanted.name.encode()[:LONGEST].decode("utf-8", "ignore"))
        stem = wanted.as_posix()
        if stem.casefold() in taken:
            stem = f"{stem}-{one.path.suffix[1:].lower()}"
        count = 1
        while stem.casefold() in taken:
            count += 1
            stem = f"{wanted.as_posix()}-{count}"
        taken.add(stem.casefold())
        box = boxes.get(printable(one.relative))
        caption = captions.from_file(one, ".txt", outcome.problems) or one.metadata_caption
        box = tuple(map(float, box)) if box else None
        yield Job(one, stem, box, caption, key(settings, box))


def refuse_crops(boxes, names):
    """UserError for a crop that is none, or is of no picture."""
    for name, box in boxes.items():
        if box is not None:
            crop.drawn(box, (1 << 20, 1 << 20))
        if name not in names:
            raise UserError(f"There is a crop for {name!r}, but no such picture.")


CAPTION_ONLY = ("prompt", "trigger", "add_tags", "remove_tags", "replace", "replace_regex", "sort_tags", "dedupe_tags")


def key(settings, box):
    """What the pixels depend on."""
    return json.dumps([{name: value for name, value in asdict(settings).items() if name not in CAPTION_ONLY}, box], sort_keys=True)


def worked(jobs, manifest, settings, edit, progress, describe, outcome):
    batch = Batch(manifest, outcome)
    manifest.settings = asdict(settings)
    for name in sorted(set(manifest.originals) - {printable(job.found.relative) for job in jobs}):
        gone = f"{name} is no longer in IN; what was made from it stays."
        outcome.problems.append(Problem(manifest.folder / name, gone, False, "original gone"))
    progress(0, len(jobs), "preparing pictures")
    try:
        for done, (job, result) in enumerate(ordered(partial(prepared, manifest=manifest, settings=settings), jobs), 1):
            if isinstance(result, Unreadable):
                outcome.problems.append(Problem(job.found.path, f"{printable(job.found.relative)} {result}.", True, result.kind))
            else:
                take(job, result, batch, edit, describe)
            progress(done, len(jobs), "preparing pictures")
    finally:
        batch.commit(hurry=True)
    return outcome


def editor(settings, jobs):
    """caption -> caption as the settings ask; UserError now for an expression that can't cope with the captions at hand."""
    edit = partial(edited, settings=settings, expressions=expressions(settings))
    if settings.replace_regex:
        for job in jobs:
            edit(job.caption)
    return edit


def original(path, content=None, enough=None):
    """(upright RGB or RGBA image, its size in the file, hash of the file); (None, None, hash) if the hash is `content`.

    enough(width, height) -> pixels of the long side that will do, None for all: a JPEG is then decoded no larger than needed.
    """
    data = read_bytes(path)
    if fingerprint(data) == content:
        return None, None, content
    image = opened(data)
    turn = orientation(image)
    size = image.size[::-1] if turn > 4 else image.size
    long = enough and enough(*size)
    if long:
        drafted(image, long)
    upright_image = upright(decoded(image, data), turn)
    check_sums(image.format, data)
    return upright_image, size, fingerprint(data)


def prepared(job, manifest, settings):
    """(hash of the original, [(file, bytes, what was done)]), the list None if its files are there; Unreadable if it can't be read."""
    before = manifest.of(printable(job.found.relative))
    whole = before["settings"] == job.key and before["stem"] == job.stem and all(
        made and (manifest.folder / file).exists() for file, made in before["files"].items())
    try:
        enough = partial(picture.enough, settings, job.box)
        image, size, content = original(job.found.path, before["content"] if whole else None, enough)
        if image is None:
            return content, None
        return content, [(f"{job.stem}{suffix}.{settings.format}", picture.encoded(one, settings), did)
                         for suffix, one, did in picture.made(image, settings, job.box, size)]
    except Unreadable as error:
        return error
    except MemoryError:
        return Unreadable("too large", "is too large for this machine's memory; scale it down first")


def take(job, result, batch, edit, describe):
    """Write what one original gave, and note it. edit: caption -> caption."""
    content, files = result
    name = printable(job.found.relative)
    before = batch.manifest.of(name)
    entry = before | {"content": content, "settings": job.key, "stem": job.stem, "captions": {}, "box": list(job.box) if job.box else None}
    if files is None:
        batch.outcome.kept += entry["files"]
    else:
        entry["files"] = {file: batch.write(file, data) for file, data, _ in files}
        entry["did"] = {file: did for file, _, did in files}
        batch.drop(set(before["files"]) - set(entry["files"]), before["files"])
    if describe and not job.caption and (files is not None or not before["described"]):
        entry["described"] = described(describe, BytesIO(files[0][1]) if files else batch.folder / next(iter(entry["files"])))
    text = edit(job.caption or entry["described"])
    for file in entry["files"]:
        caption = f"{file.rpartition('.')[0]}.txt"
        if text or caption in before["captions"]:
            entry["captions"][caption] = batch.write(caption, f"{text}\n".encode())
    batch.drop(set(before["captions"]) - set(entry["captions"]), before["captions"])
    batch.note(name, entry)


def described(describe, file):
    with Image.open(file) as image:
        return describe(image.convert("RGB"))
