"""What an import tells the user: what was taken over, what means something else here, what is not supported."""

from collections.abc import Iterator

from lib_sdtune.settings_import.entries import Entry, abridged, is_secret


class Notes:
    """Sentences by kind, in the order of the file. remarks: line -> (the setting, what is said about it)."""

    def __init__(self) -> None:
        self.accepted: dict[str, tuple[Entry, str]] = {}  # line -> (entry, path of CONFIG)
        self.different: list[str] = []
        self.unsupported: list[str] = []
        self.off: list[str] = []  # keys that did nothing as they stand
        self.facts: list[str] = []  # keys that describe the file and are no settings
        self.defaults: list[str] = []  # "key value" of what the file does not say, where the programs' defaults differ
        self.missing: list[str] = []
        self.warnings: list[str] = []
        self.remarks: dict[str, tuple[str, str]] = {}

    def take(self, entry: Entry, path: str, value: object) -> None:
        self.accepted[f"{entry} -> {path} = {abridged(value)}"] = entry, path

    def differ(self, entry: Entry | str, how: str, path: str = "", value: object = None) -> None:
        """Taken over with another value, or under a name that means something else: `how` says in what way."""
        if path:
            self.supersede(path, entry)
        target = f" -> {path} = {abridged(value)}" if path else ""
        self.different.append(self.remark(f"{entry}{target}", how))

    def supersede(self, path: str, by: Entry | str) -> None:
        """Take back what was said to be taken over for a path of CONFIG: another value stands there now.

        An entry that counts nowhere else then is told; that of `by` is told by whoever calls.
        """
        key = by if isinstance(by, str) else by.key
        for line, (entry, where) in list(self.accepted.items()):
            if where != path:
                continue
            del self.accepted[line]
            is_left = any(other.key == entry.key for other, _ in self.accepted.values())
            if not is_left and entry.key != key:
                self.different.append(self.remark(str(entry), f"{key} counts instead"))

    def refuse(self, entry: Entry, what_it_did: str) -> None:
        """Not supported; a secret is named and not shown."""
        text = entry.key if is_secret(entry.key) else str(entry)
        self.unsupported.append(self.remark(text, what_it_did))

    def unread(self, entry: Entry, reason: object) -> None:
        self.unsupported.append(self.remark(str(entry), f"{reason}; the default stands instead"))

    def remark(self, setting: str, what: str) -> str:
        line = f"{setting}: {what}"
        self.remarks[line] = setting, what
        return line

    def taken(self) -> list[str]:
        """What was taken over, the other program's defaults at the end."""
        defaults = ", ".join(dict.fromkeys(self.defaults))
        last = [f"not in the file, so the other program's default: {defaults}"] if defaults else []
        return [*self.accepted, *last]

    def lost(self) -> list[str]:
        """What is not supported; what was switched off anyway at the end."""
        off = ", ".join(dict.fromkeys(self.off))
        last = [f"switched off or empty there, so nothing is lost: {off}"] if off else []
        return [*dict.fromkeys(self.unsupported), *last]

    def lines(self) -> Iterator[str]:
        """Everything, as lines for a terminal."""
        yield from group("Taken over:", self.taken())
        yield from group("Means something else here:", self.different)
        yield from group("Not supported:", self.lost())
        if self.facts:
            yield f"  no settings, but facts about the file: {', '.join(dict.fromkeys(self.facts))}"
        yield from group("Worth knowing:", self.warnings)
        yield from group("Missing:", self.missing)


def group(title: str, sentences: list[str]) -> Iterator[str]:
    if sentences:
        yield title
        yield from (f"  {sentence}" for sentence in dict.fromkeys(sentences))
