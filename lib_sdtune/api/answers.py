"""How a call is answered: what was sent, and errors as one sentence."""

import logging
import re
from collections.abc import Callable
from typing import Any

from fastapi import Request, Response
from fastapi.responses import FileResponse, JSONResponse

from lib_sdtune.access import Access
from lib_sdtune.api.admission import Refused, admit
from lib_sdtune.errors import NameTaken, NotFound, RunError, UserError, WrongState
from lib_sdtune.failures import fault, name_too_long
from lib_sdtune.formats.plain_data import parse_json
from lib_sdtune.sentences import coded

STATUS = ((NotFound, 404), (NameTaken, 409), (WrongState, 409), (UserError, 422), (RunError, 500))
MAX_BODY = 2**25  # bytes
NO_SCRIPTS = {"Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'"}


def answer(request: Request, access: Access, function: Callable[[], Any],
           wrap: Callable[[Any], Response] = JSONResponse) -> Response:
    """What `function()` returns, wrapped; errors are one sentence under "detail", never a traceback.

    "codes" beside it: what a page needs to say its sentences in another language, see `sentences.coded`.
    """
    admit(request, access)
    try:
        result = function()
        return wrap(with_codes(result) if wrap is JSONResponse else result)
    except (UserError, RunError) as error:
        code = next(code for kind, code in STATUS if isinstance(error, kind))
        return JSONResponse(with_codes({"detail": str(error)}), status_code=code)
    except Exception as error:
        if too_long := name_too_long(error):
            return JSONResponse(with_codes({"detail": too_long}), status_code=422)
        logging.getLogger("sdtune").exception("%s %s", request.method, request.url.path)
        return JSONResponse(with_codes({"detail": fault(error)}), status_code=500)


def with_codes(data: Any) -> Any:
    """JSON data with "codes" in it, or in each of its parts, where there are sentences in it; those that it has itself
    count.
    """
    if isinstance(data, list):
        return [with_codes(part) for part in data]
    codes = coded(data) if isinstance(data, dict) else None
    return {**data, "codes": codes | data.get("codes", {})} if codes else data


async def body(request: Request) -> bytes:
    """The body as sent, so that what is wrong with it is told in our words. Refused (413) where it is too large, and
    then no more of it is read: whoever calls has not been asked for a login yet.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise Refused(413, f"More than {MAX_BODY // 2**20} MiB were sent, which no call needs.")
        parts.append(part)
    return b"".join(parts)


def parsed(text: bytes) -> dict[str, Any]:
    """The JSON object of a body. UserError."""
    data = parse_json(text, "The body")
    if not isinstance(data, dict):
        raise UserError("The body must be a JSON object.")
    return data


def whole_number(key: str, text: str) -> int:
    """A number in a query. UserError."""
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise UserError(f'"{key}" must be a whole number.')
    return int(text)


def truth(key: str, text: str) -> bool:
    """True or false in a query. UserError."""
    if text.lower() not in ("true", "false", "1", "0"):
        raise UserError(f'"{key}" must be true or false.')
    return text.lower() in ("true", "1")


def or_not_found(result: Any, sentence: str = "There is no such file.") -> Any:
    """The result itself. NotFound for None."""
    if result is None:
        raise NotFound(sentence)
    return result


def harmless(path: Any) -> FileResponse:
    """A page or picture of ours, in which nothing may run."""
    return FileResponse(path, headers=NO_SCRIPTS)


def jpeg(data: bytes) -> Response:
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(data, media_type="image/jpeg", headers=headers)
