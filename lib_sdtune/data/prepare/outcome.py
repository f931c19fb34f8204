"""What preparing a folder has come to."""

from dataclasses import dataclass, field

from lib_sdtune.data.problem import Problem


@dataclass
class Outcome:
    """written: files made. unchanged: files that were right already. removed: files of earlier settings."""

    written: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
