"""Who may come in, and which folders they may name: the rules that the tab and the API share."""

import base64
import binascii
import hmac
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from pathlib import Path

from lib_sdtune.data.paths import refuse_special_signs
from lib_sdtune.errors import UserError
from lib_sdtune.formats.paths import bare_path, is_share, path_of
from lib_sdtune.sections.concept import names_template


@dataclass
class Access:
    """credentials: user -> password of the API; {} asks for none. closed: why nobody is let in without a login, or "".

    hosts: function that gives the names by which this machine may be called; None for any. roots: function that gives
    the folders that pictures may come from; None for any.
    """

    credentials: dict = field(default_factory=dict)
    closed: str = ""
    hosts: Callable[[], Set[str]] | None = None
    roots: Callable[[], list[Path]] | None = None

    def admits(self, authorization: str | None) -> bool:
        """Whether an Authorization header holds one of the credentials."""
        if not self.credentials:
            return True
        scheme, _, pair = (authorization or "").partition(" ")
        try:
            user, _, password = base64.b64decode(pair, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        expected = self.credentials.get(user)
        if scheme.lower() != "basic" or expected is None:
            return False
        return hmac.compare_digest(password.encode(), expected.encode())

    def folder(self, text: object, key: str) -> Path:
        """A folder that somebody named, absolute. UserError when it is outside the allowed ones, also by a link."""
        if isinstance(text, str):
            refuse_special_signs(text, "", key)
        path = path_of(text) if isinstance(text, str) else None
        if path is None:
            raise UserError(f'"{key}" must name a folder.')
        if self.roots is None:
            return path
        roots = [Path(root).resolve() for root in self.roots()]
        foreign = is_share(bare_path(text)) and not any(is_share(str(root)) for root in roots)
        if foreign or not any(path.resolve().is_relative_to(root) for root in roots):
            places = ", ".join(map(str, roots)) or "none is set up"
            raise UserError(f'"{key}" is outside the folders that are allowed here ({places}); '
                            "whoever runs the WebUI can add others.")
        return path

    def template(self, prompt: str, key: str) -> None:
        """UserError when a prompt names a template file outside the templates' folders where folders are restricted."""
        by_path = names_template(prompt) and set("/\\:") & set(prompt)
        if self.roots is not None and by_path:
            raise UserError(f'"{key}" names a template by its path, which is not allowed here; '
                            "give the name of a template alone.")


LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""The names of this machine that no other machine answers to."""
