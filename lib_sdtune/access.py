"""Who may come in, and which folders they may name: the rules that the tab and the API share."""

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from lib_sdtune.errors import UserError


@dataclass
class Access:
    """credentials: user -> password of the API; {} lets everybody in. closed: why nobody is let in, or "".

    key: a secret that only the shown tab knows; requests that carry it need no password. roots: function that gives the
    folders that pictures may come from; None for any.
    """

    credentials: dict = field(default_factory=dict)
    closed: str = ""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    roots: object = None

    def knows(self, key):
        return bool(key) and hmac.compare_digest(key.encode(), self.key.encode())

    def admits(self, authorization):
        """Whether an Authorization header holds one of the credentials."""
        if not self.credentials:
            return True
        scheme, _, rest = (authorization or "").partition(" ")
        try:
            user, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        known = self.credentials.get(user)
        return scheme.lower() == "basic" and known is not None and hmac.compare_digest(password.encode(), known.encode())

    def folder(self, given, key):
        """A folder that somebody named, absolute. UserError when it is outside the allowed ones, also through a link."""
        if not isinstance(given, str) or not given.strip() or "\0" in given:
            raise UserError(f'"{key}" must name a folder.')
        if self.roots is None:
            return Path(given).expanduser().absolute()
        roots = [Path(root).resolve() for root in self.roots()]
        path = Path(given).expanduser().absolute()
        elsewhere = share(given) and not any(share(str(root)) for root in roots)  # merely asking for it would log on there
        if elsewhere or not any(path.resolve().is_relative_to(root) for root in roots):
            places = ", ".join(map(str, roots)) or "none is set up"
            raise UserError(f'"{key}" is outside the folders that are allowed here ({places}); whoever runs the WebUI can add others.')
        return path

    def template(self, prompt, key):
        """UserError when a prompt names a template file outside the templates' folders where folders are restricted."""
        if self.roots is not None and prompt.strip().lower().endswith(".txt") and set("/\\:") & set(prompt):
            raise UserError(f'"{key}" names a template by its path, which is not allowed here; give the name of a template alone.')


def share(text):
    """Whether this is a place on another machine, as Windows writes it."""
    return text.strip().replace("\\", "/").startswith("//")
