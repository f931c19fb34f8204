"""Values of another program within the ranges that they have here; what has to give way is told."""

import dataclasses
from typing import Any

from lib_sdtune.declaration import choices, convert, hint
from lib_sdtune.errors import UserError
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry, abridged


def within_ranges(cls: type, group: dict[str, Any], where: str, draft: Draft) -> None:
    """Each value of a section as its declared type and within its limits; what does not fit goes back to the
    default.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in list(group):
        path = f"{where}{key}"
        field = fields.get(key)
        if field is None:
            del group[key]
        elif "section" in field.metadata:
            within_ranges(field.metadata["section"], group[key], f"{path}.", draft)
        elif key == "concepts":
            for index, concept in enumerate(group[key]):
                within_ranges(hint(cls, key).__args__[0], concept, f"concepts[{index}].", draft)
        else:
            group[key] = fitted(cls, field, group[key], path, draft)
            if group[key] is dataclasses.MISSING:
                del group[key]


def fitted(cls: type, field: dataclasses.Field, value: Any, path: str, draft: Draft) -> Any:
    """The value, or the nearest that is allowed; `dataclasses.MISSING` where only the default is left."""
    try:
        result = convert(hint(cls, field.name), value, path)
    except UserError:
        tell(draft, path, value, "the default", "is no value that it can have")
        return dataclasses.MISSING
    allowed = choices(field)
    if allowed and result not in allowed:
        tell(draft, path, value, "the default", f"can be {', '.join(map(str, allowed))} alone")
        return dataclasses.MISSING
    if isinstance(result, list):
        return [clamped(item, field) if isinstance(item, int | float) else item for item in result]
    if isinstance(result, bool) or not isinstance(result, int | float):
        return result
    nearest = clamped(result, field)
    if nearest != result:
        tell(draft, path, result, nearest, "is beyond what it can be")
    return nearest


def clamped(value: float, field: dataclasses.Field) -> float:
    low, high, above = (field.metadata.get(name) for name in ("low", "high", "above"))
    if low is not None and value < low:
        return type(value)(low)
    if above is not None and value <= above:
        default = field.default
        return default if isinstance(default, int | float) else value
    if high is not None and value > high:
        return type(value)(high)
    return value


def tell(draft: Draft, path: str, value: Any, instead: Any, reason: str) -> None:
    entry = draft.origins.get(path) or Entry(path, value)
    draft.notes.supersede(path, entry)
    draft.notes.differ(entry, f"{abridged(value)} {reason} ({path}); {abridged(instead)} stands instead")
