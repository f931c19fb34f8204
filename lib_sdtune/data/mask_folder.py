"""Masks in a folder of their own, each called like its picture: `conditioning_data_dir` of sd-scripts."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

from lib_sdtune.data.example import PictureFile
from lib_sdtune.data.listing import first_names
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.data.walk import walk


def assigned(files: list[PictureFile], folder: Path, problems: list[Problem]) -> list[PictureFile]:
    """The files, each with the mask of its name; without those that are masks because the folder lies among theirs.

    A picture in a sub-folder has its mask in a sub-folder of the same name, or in the folder itself. Where it has none
    there, the one beside it stays. Pictures without a mask, and masks without a picture, are named in `problems`.
    """
    files = [file for file in files if not file.path.resolve().is_relative_to(folder.resolve())]
    masks = {stem(file.relative): file for file in walk(folder, problems)}
    names = {file.relative: next((name for name in (stem(file.relative), file.path.stem) if name in masks), "")
             for file in files}
    for name in sorted(masks.keys() - names.values()):
        text = f"The mask {printable(masks[name].relative)} has no picture of that name; it is not used."
        problems.append(Problem(masks[name].path, text, True, "mask orphan"))
    result = [replace(file, mask=masks[name].path) if (name := names[file.relative]) else file for file in files]
    if without := [file for file in result if file.mask is None]:
        text = f"There is no mask in {printable(folder.name)} for {first_names([file.relative for file in without])}."
        problems.append(Problem(without[0].path, text, False, "no mask"))
    return result


def stem(relative: str) -> str:
    """"10_ron/1.png" as "10_ron/1"."""
    return str(PurePosixPath(relative).with_suffix(""))
