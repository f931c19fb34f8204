"""Schedules of the learning rate: what those of other programs are called here, and what is different."""

from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry

SAME = ("constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial",
        "cosine_with_min_lr", "warmup_stable_decay", "inverse_sqrt", "rex")
NEAREST = {  # (name here, what it did)
    "adafactor": ("constant", "left the rate to Adafactor"),
    "piecewise_constant": ("constant", "changed the rate at certain steps"),
    "cosineannealinglr": ("cosine", "falls within T_max steps and rises again after them; here it falls once, over the "
                                    "whole run"),
    "cosineannealingwarmrestarts": ("cosine_with_restarts", "restarted after T_0 steps; here "
                                                            "train.lr_scheduler_num_cycles says how often"),
    "cosine_annealing": ("cosine", "ended at a lowest rate instead of 0"),
    "onecyclelr": ("cosine", "rose and fell once"),
    "linearlr": ("linear", "went between two factors"),
    "polynomiallr": ("polynomial", "had its own length"),
    "constantlr": ("constant", "had a factor for the first steps"),
    "exponentiallr": ("polynomial", "fell by a factor at every step"),
    "steplr": ("constant", "changed the rate at certain steps"),
    "multisteplr": ("constant", "changed the rate at certain steps"),
}
OTHERWISE = ("constant", "is a schedule that is not known here")


def set_schedule(draft: Draft, name: str, entry: Entry | None) -> None:
    """Set the schedule of that name, or the nearest, which is told."""
    key = name.strip().rpartition(".")[2].lower().partition(":")[0]
    if key in SAME:
        if entry is None:
            draft.default("train.lr_scheduler", key, "lr_scheduler")
        else:
            draft.set("train.lr_scheduler", key, entry)
        return
    schedule, difference = NEAREST.get(key, NEAREST.get(key.replace("_", ""), OTHERWISE))
    original = entry or Entry("lr_scheduler", name)
    draft.set("train.lr_scheduler", schedule)
    draft.origins["train.lr_scheduler"] = original
    draft.notes.differ(original, difference, "train.lr_scheduler", schedule)
