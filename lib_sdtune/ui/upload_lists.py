"""Lists of captions among uploaded files: their rows name pictures, which may be called otherwise in the new folder."""

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

MERGED = "metadata.jsonl"


def merged(lists: Sequence[tuple[Path, PurePosixPath]],
           renamed: Sequence[tuple[PurePosixPath, str]]) -> tuple[str, list[str]]:
    """(the lines of one `MERGED` list of the captions in all, what of them is not in it, in sentences).

    lists: (file, the path that it had); renamed: (the path that a picture had, its new name).
    """
    from lib_sdtune.data import metadata
    from lib_sdtune.data.example import PictureFile
    from lib_sdtune.data.problem import Problem

    by_name = metadata.names_of([PictureFile(Path(path), str(path), None, "", {}) for path, _ in renamed])
    names = dict(renamed)  # of a path that several had, none is meant by a row, see `names_of`
    problems: list[Problem] = []
    lines: list[str] = []
    for file, path in lists:
        prefix = "" if path.parent == PurePosixPath() else f"{path.parent}/"
        listing = metadata.read(file, prefix, problems, name=path.name)
        lost = []
        for row_name, caption in listing.rows if listing else ():
            relative = metadata.find(row_name, prefix, by_name)
            if relative is None:
                lost.append(row_name)
            else:
                row = {"file_name": names[PurePosixPath(relative)], "text": caption}
                lines.append(json.dumps(row, ensure_ascii=False))
        problems += metadata.of_no_picture(file, path.name, lost)
    return "".join(f"{line}\n" for line in lines), [problem.text for problem in problems]
