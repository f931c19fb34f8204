"""The work on a folder: what is missing is made, what is there already stays, what its owner changed is left alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from lib_sdtune.data.masks import is_mask
from lib_sdtune.data.paths import fit_for_pictures, locate, named_path
from lib_sdtune.data.picture import Unreadable
from lib_sdtune.data.prepare import picture
from lib_sdtune.data.prepare.batch import Batch
from lib_sdtune.data.prepare.checks import check
from lib_sdtune.data.prepare.manifest import Manifest
from lib_sdtune.data.prepare.originals import Original, originals_of, read_original, refuse_crops
from lib_sdtune.data.prepare.outcome import Outcome
from lib_sdtune.data.prepare.settings import PrepareConfig, edited, expressions
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.data.prompt_syntax import plain
from lib_sdtune.data.thread_map import ordered
from lib_sdtune.data.walk import walk
from lib_sdtune.errors import UserError, system_reason
from lib_sdtune.progress import Progress

Describe = Callable[[Image.Image], str]
Boxes = Mapping[str, Sequence[float | str] | None]  # relative path -> (left, top, right, bottom) as fractions


SOURCE, OUT = "source", "out"  # what sentences call the folders; the tab has its own words for them


def prepare(source: Path | str, out: Path | str, settings: PrepareConfig | None = None,
            progress: Progress | None = None, boxes: Boxes | None = None, describe: Describe | None = None,
            base: Path | str = ".") -> Outcome:
    """Prepare every picture below `source` into `out`.

    boxes: crops drawn by hand; those of an earlier call stay unless they are replaced, by None to have none.
    describe(RGB image) -> caption for pictures that have none. progress(done, total, text) may raise to stop; the next
    call goes on. UserError before anything is written if the folders or settings are wrong.
    """
    settings = settings or PrepareConfig()
    check(settings)
    outcome = Outcome()
    source, out = folders(source, out, base)
    files = walk(source, outcome.problems)
    if not files:
        raise UserError(f"{printable(source)} holds no pictures.")
    boxes, manifest = boxes or {}, Manifest(out)
    refuse_crops(boxes, {printable(file.relative) for file in files})
    originals = list(originals_of(files, settings, {**manifest.boxes(), **boxes}, outcome.problems))
    edit = editor(settings, originals)
    writable(out)
    return worked(originals, manifest, settings, edit, progress or (lambda *_: None), describe, outcome)


def preview(path: Path, settings: PrepareConfig | None = None,
            box: Sequence[float] | None = None) -> list[picture.Piece]:
    """What one picture gives, nothing written: the "after" of a before/after view. UserError if it can't be read."""
    settings = settings or PrepareConfig()
    check(settings)
    try:
        image, size, _ = read_original(path, needed_side=partial(picture.needed_side, settings, box))
        assert image is not None
        return picture.pieces(image, settings, box, size)
    except Unreadable as error:
        raise UserError(error.of(Path(path).name)) from error


def folders(source: Path | str, out: Path | str, base: Path | str) -> tuple[Path, Path]:
    """Both folders, absolute; UserError where the originals could come to harm."""
    source, out = locate(str(source), base, SOURCE), named_path(str(out), base, OUT)
    fit_for_pictures(out, str(out), OUT)
    inner, outer = out.resolve(), source.resolve()
    if inner == outer or inner.is_relative_to(outer):
        raise UserError(f'"{OUT}": {printable(out)} lies in the folder of originals, so the prepared pictures would be '
                        "prepared again. Give a folder beside it.")
    if outer.is_relative_to(inner):
        raise UserError(f'"{SOURCE}": {printable(source)} lies in the folder for what is made of them; give that one a '
                        "place of its own, so that originals and results stay apart.")
    if out.exists() and not out.is_dir():
        raise UserError(f'"{OUT}": {printable(out)} is a file; give a folder.')
    return source, out


def writable(out: Path) -> None:
    """The folder is there and takes files, or a UserError says why not."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".sdtune-can-write"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = system_reason(error)
        raise UserError(f'"{OUT}": {printable(out)} can\'t be written to ({reason}); give another folder.') from error


def editor(settings: PrepareConfig, originals: Sequence[Original]) -> Callable[[str], str]:
    """caption -> caption as the settings ask; UserError now for an expression that can't cope with these captions."""
    edit = partial(edited, settings=settings, expressions=expressions(settings))
    if settings.replace_regex:
        for original in originals:
            edit(original.caption)
    return edit


def worked(originals: Sequence[Original], manifest: Manifest, settings: PrepareConfig, edit: Callable[[str], str],
           progress: Progress, describe: Describe | None, outcome: Outcome) -> Outcome:
    batch = Batch(manifest, outcome)
    manifest.settings = asdict(settings)
    for name in sorted(set(manifest.originals) - {original.name for original in originals}):
        sentence = f"{name} is no longer among the originals; what was made from it stays."
        outcome.problems.append(Problem(manifest.folder / name, sentence, False, "original gone"))
    progress(0, len(originals), "preparing pictures")
    prepare_one = partial(prepared, manifest=manifest, settings=settings)
    try:
        for done, (original, result) in enumerate(ordered(prepare_one, originals), 1):
            if isinstance(result, Unreadable):
                outcome.problems.append(Problem(original.file.path, result.of(original.name), True, result.kind))
            else:
                content, pieces = result
                take(original, content, pieces, batch, edit, describe)
            progress(done, len(originals), "preparing pictures")
    finally:
        batch.commit(hurry=True)
    return outcome


File = tuple[str, bytes, list[str]]  # (name, content, what was done in words)


def prepared(original: Original, manifest: Manifest,
             settings: PrepareConfig) -> tuple[str, list[File] | None] | Unreadable:
    """(hash of the original, the files that it gives, None if they are there); Unreadable if it can't be read."""
    before = manifest.entry(original.name)
    complete = before["settings"] == original.key and before["stem"] == original.stem and all(
        file_hash and (manifest.folder / file).exists() for file, file_hash in before["files"].items())
    try:
        needed_side = partial(picture.needed_side, settings, original.box)
        image, size, content = read_original(original.file.path, before["content"] if complete else None, needed_side)
        if image is None:
            return content, None
        pieces = picture.pieces(image, settings, original.box, size)
        return content, [file for suffix, piece, steps in pieces
                         for file in picture.files(f"{original.stem}{suffix}", piece, steps, settings)]
    except Unreadable as error:
        return error
    except MemoryError:
        return Unreadable("too large", "{} is too large for this machine's memory; scale it down first.")


def take(original: Original, content: str, files: list[File] | None, batch: Batch, edit: Callable[[str], str],
         describe: Describe | None) -> None:
    """Write what one original gave, and note it."""
    before = batch.manifest.entry(original.name)
    entry = before | {"content": content, "settings": original.key, "stem": original.stem, "captions": {},
                      "box": list(original.box) if original.box else None}
    if files is None:
        batch.outcome.unchanged += entry["files"]
    else:
        entry["files"] = {file: batch.write(file, data) for file, data, _ in files}
        entry["did"] = {file: steps for file, _, steps in files}
        batch.drop(set(before["files"]) - set(entry["files"]), before["files"])
    if describe and not original.caption and (files is not None or not before["described"]):
        picture_file = BytesIO(files[0][1]) if files else batch.folder / next(iter(entry["files"]))
        entry["described"] = described(describe, picture_file)
    text = edit(original.caption or entry["described"])
    # none beside somebody else's picture
    for file in [file for file, file_hash in entry["files"].items() if file_hash and not is_mask(file)]:
        caption = f"{file.rpartition('.')[0]}.txt"
        if text or caption in before["captions"]:
            entry["captions"][caption] = batch.write(caption, f"{text}\n".encode())
    batch.drop(set(before["captions"]) - set(entry["captions"]), before["captions"])
    batch.note(original.name, entry)


def described(describe: Describe, file: BinaryIO | Path) -> str:
    with Image.open(file) as image:
        return plain(describe(image.convert("RGB")))
