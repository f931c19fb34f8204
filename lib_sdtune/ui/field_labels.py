"""Sentences for the form, with its labels in place of keys; javascript/sdtune_field_labels.js does it elsewhere."""

import re
from collections.abc import Iterable, Mapping

from lib_sdtune.ui.fields import Field

FOR_PROGRAMS = re.compile(r' \("(?:overwrite|sure)": true(?:, --sure)?\)')  # how a program would ask for it
KEY = re.compile(r'"(?:concepts\[(\d+)\]\.)?(\w+(?:\.\w+)?)(?:\[(\d+)\])?"')
"""A key in quotes, as sentences name it: the number of its concept, the key, the place in its list."""


def labels_by_path(fields: Iterable[Field]) -> dict[str, str]:
    """{"train.batch_size", or "concept.images": the label}."""
    return {field.path: field.label for field in fields}


def with_labels(sentence: str, labels: Mapping[str, str]) -> str:
    """A sentence with the fields' labels instead of the keys of their settings, and nothing for programs."""
    def labelled(match: re.Match) -> str:
        concept, key, entry = match.groups()
        label = labels.get(f"concept.{key}" if concept else key)
        if not label:
            return match[0]
        place = f" (entry {int(entry) + 1})" if entry else ""
        return f'"{label}"{place}' + (f" of concept {int(concept) + 1}" if int(concept or 0) else "")

    return KEY.sub(labelled, FOR_PROGRAMS.sub("", sentence))
