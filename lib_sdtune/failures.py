"""Why a run most likely failed and what to turn, for the box that the tab shows."""

import re

KNOWN = [
    (r"out of memory", "The model, the pictures of one batch and the optimizer need more memory than is free.",
     "Batch size 1 and gradient checkpointing on; then a lower resolution, the text encoder left out, a smaller dim. Resume afterwards.",
     {"train.batch_size": 1, "train.gradient_checkpointing": "on"}),
    (r"disk is full|no space left", "Resume points, saved files and cached pictures together are larger than what is free.",
     "Make room, or keep fewer files, then resume; everything up to the last resume point is kept.", {"save.keep_last": 2}),
    (r"\bnan\b|non-finite|not finite|overflow", "The learning rate is too high, or half precision overflows with this model.",
     "A third of the learning rate; if that changes nothing, mixed precision off.", {"train.mixed_precision": "no"}),
    (r"no (usable )?picture|cannot be read|is truncated|not a picture",
     "The folder is not the one that you meant, or its files are damaged.",
     "Press Check: it names every file that cannot be used.", {}),
    (r"exists already|already exists", "A file or a run of that name was made before.", "Another name, or allow replacing it under Saving.",
     {"overwrite": True}),
    (r"lowvram|tensorrt", "Parts of the model are not where training needs them.",
     "Start the WebUI without that option, then start again.", {}),
]


def explain(message):
    """{"what", "why", "change", "settings"} for a failed run's message; settings are {path: value} that the tab can fill in."""
    for pattern, why, change, settings in KNOWN:
        if re.search(pattern, message, re.IGNORECASE):
            return {"what": first_sentence(message), "why": why, "change": change, "settings": settings}
    return {"what": message, "why": "This failure is not one that SD Tune knows.",
            "change": "Copy the report and open an issue with it. Resume goes on from the last resume point, if there is one.",
            "settings": {}}


def first_sentence(text):
    return re.split(r"(?<=[.!?])\s", text.strip(), maxsplit=1)[0]
