"""Settings that suit a checkpoint better than the general ones, as its own file tells."""

from typing import Any

from lib_sdtune.formats.files import read_json
from lib_sdtune.formats.plain_data import overlaid
from lib_sdtune.ldm import checkpoint, header
from lib_sdtune.ldm.embedded_model import EMBEDDED
from lib_sdtune.ldm.header import Header

DEFAULTS = "defaults.json"  # beside the embedded model, newer than what its file holds


def by_metadata(file_header: Header) -> dict[str, Any]:
    """What a checkpoint's metadata recommend, a nested dict; {} where they say nothing."""
    return checkpoint.embedded_json(file_header.metadata, "sdtune_defaults")


def of_embedded_model(file_header: Header | None) -> dict[str, Any]:
    """What suits our own small model and what was made from it; {} for every other checkpoint, and for none."""
    own = by_metadata(file_header) if file_header else {}
    if not own or own != by_metadata(header.read(EMBEDDED)):
        return {}
    return overlaid(read_json(EMBEDDED.with_name(DEFAULTS)), own)
