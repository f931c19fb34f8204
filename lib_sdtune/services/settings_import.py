"""Settings files of other programs, sent as texts, become one CONFIG: nothing on this machine is read for it."""

from pathlib import PurePath, PurePosixPath
from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.sentences import recognised
from lib_sdtune.services.context import ServiceContext
from lib_sdtune.services.fields import refuse_unknown, text

MAX_FILES = 20


class SettingsImportService:
    """As the command line's `import`."""

    def __init__(self, context: ServiceContext) -> None:
        self.context = context

    def read(self, data: dict) -> dict[str, Any]:
        """{"config", "taken", "differs", "unsupported", "missing", "notes", "codes"} of {"files": [{"name", "text"}],
        "images", "name"}.

        config: complete but for a name or pictures that nobody said; the others: sentences, and their codes. images:
        the folder of the pictures here, the only one that is looked at. UserError for what is no file of settings.
        """
        from lib_sdtune.settings_import import documents
        from lib_sdtune.settings_import.importer import import_documents

        refuse_unknown(data, "files", "images", "name")
        images = text(data, "images")
        if images:
            images = str(self.context.access.folder(images, "images"))
        read = [documents.from_text(name, content) for name, content in files(data)]
        imported = import_documents(read, images, text(data, "name"))
        notes = imported.notes
        return {"config": imported.config, "taken": notes.taken(), "differs": notes.different,
                "unsupported": notes.lost(), "missing": notes.missing, "notes": notes.warnings,
                "codes": {line: remark(*parts) for line, parts in notes.remarks.items()}}


def remark(setting: str, what: str) -> dict[str, Any]:
    """As `sentences.recognised`: what is said about a setting has words of its own, the setting has not."""
    return {"code": "{1}: {2}", "values": {"1": setting, "2": recognised(what) or what}}


def files(data: dict) -> list[tuple[str, str]]:
    """(name, text) of each; no name is a path."""
    sent = data.get("files")
    if not isinstance(sent, list) or not sent:
        raise UserError('"files" must be a list of {"name", "text"}, with one file or more.')
    if len(sent) > MAX_FILES:
        raise UserError(f'"files" has {len(sent)} files; one run has {MAX_FILES} at most.')
    pairs = []
    for number, file in enumerate(sent):
        if not isinstance(file, dict):
            raise UserError(f'"files[{number}]" must be {{"name", "text"}}.')
        refuse_unknown(file, "name", "text")
        name = PurePosixPath(PurePath(text(file, "name")).name.replace("\\", "/")).name
        if not name:
            raise UserError(f'"files[{number}].name" is empty; give the name of the file, its ending says what it is.')
        pairs.append((name, text(file, "text")))
    return pairs
