"""What was measured and checked so far: printed as it comes, and written each time, so that nothing is lost whatever
ends the program.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.gpu.measuring import HEADER, row


class Report:
    """content: the JSON. path: where it is written, or None."""

    def __init__(self, device: str, torch_version: str, size: str, path: Path | None) -> None:
        self.content: dict[str, Any] = {"device": device, "torch": torch_version, "size": size, "checks": [],
                                        "steps": [], "left_out": []}
        self.path, self.in_table, self.is_over = path, False, False
        print(f"{device}, torch {torch_version}, {size} models", flush=True)

    @property
    def passed(self) -> bool:
        """Whether no check has failed."""
        return all(check["passed"] for check in self.content["checks"])

    def add_step(self, figures: dict[str, Any]) -> None:
        """A line of the table, and what it lacks."""
        if not self.in_table:
            print(f"\n{HEADER}")
        self.in_table = True
        self.content["steps"].append(figures)
        print(row(figures), flush=True)
        if figures["missing"]:
            self.leave_out(f"{figures['title']}, {figures['missing']}")
        self.write()

    def add_check(self, name: str, passed: bool, detail: str) -> None:
        if self.in_table:
            print()
        self.in_table = False
        self.content["checks"].append({"name": name, "passed": passed, "detail": detail})
        print(f"{'passed' if passed else 'FAILED'}: {name} ({detail})", flush=True)
        self.write()

    def leave_out(self, what: str) -> None:
        self.content["left_out"].append(what)
        self.write()

    def write(self) -> None:
        if self.path is not None:
            self.path.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")

    def end(self) -> int:
        """Say once what was left out; the program's exit status."""
        if not self.is_over and self.content["left_out"]:
            print(f"\nLeft out: {'; '.join(self.content['left_out'])}", flush=True)
        self.is_over = True
        self.write()
        return 0 if self.passed else 1
