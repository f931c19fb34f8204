"""Who is let in: the WebUI's own logins, and no page of another site.

A call is admitted when it comes under a name of this machine (against DNS rebinding), not from another site's page
(against cross-site requests), and, where a password is asked for, with the login of the page's session or the API's
password.
"""

import urllib.parse
from typing import Any

from fastapi import HTTPException, Request

from lib_sdtune.access import Access


class Refused(HTTPException):
    """The call is not let in; `detail` is the sentence that says why."""


SESSION_COOKIES = ("access-token", "access-token-unsecure")
"""Where gradio 3 keeps the session's token (gradio/routes.py)."""


def admit(request: Request, access: Access) -> None:
    """Refused (401 or 403), with a sentence, for a call that is not let in."""
    refuse_other_sites(request, access)
    if logged_in(request):
        return
    if access.credentials:
        if not access.admits(request.headers.get("authorization")):
            raise Refused(401, "Incorrect username or password", headers={"WWW-Authenticate": "Basic"})
    elif access.closed:
        raise Refused(403, access.closed)


def admit_event(event: Any, access: Access) -> None:
    """The same for an event of gradio's page, by its `gradio.Request`; one that came through gradio's queue is refused,
    because the queue hands on no request.
    """
    if getattr(event, "request", None) is None:
        raise Refused(403, "This came through gradio's queue, which does not tell who is asking; reload the page.")
    admit(event.request, access)


def refuse_other_sites(request: Request, access: Access) -> None:
    """Refused for a call under a strange name, or one that another site's page sends through the user's browser."""
    name = host_name(request.headers.get("host", ""))
    if access.hosts is not None and name not in access.hosts():
        raise Refused(403, f"SD Tune was called under the name {name[:100]!r}, which is not this machine's. "
                                 "Whoever runs it can allow that name: --sdtune-host NAME.")
    if not same_origin(request):
        raise Refused(403, "This call came from another site's page.")


def host_name(host: str) -> str:
    """"localhost" of "localhost:7860", "::1" of "[::1]:7860"; "" of what is no host."""
    try:
        return urllib.parse.urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def same_origin(request: Request) -> bool:
    """Whether the call comes from our own page, a program, or a person who follows a link.

    Browsers say so in Sec-Fetch-Site, which no page can set, on https and on this machine; elsewhere in Origin, which
    must then name the host that is called. Programs send neither.
    """
    site = request.headers.get("sec-fetch-site")
    if site in ("same-origin", "none"):
        return True
    if site in ("cross-site", "same-site"):
        return request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"
    origin = request.headers.get("origin")
    return not origin or origin.partition("://")[2] == request.headers.get("host")


def logged_in(request: Request) -> bool:
    """Whether the session has logged in on the WebUI's page (--gradio-auth)."""
    server = request.app
    if getattr(server, "auth", None) is None:
        return False
    tokens = getattr(server, "tokens", {})
    return any(request.cookies.get(name) in tokens for name in SESSION_COOKIES if request.cookies.get(name))
