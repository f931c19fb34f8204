"""The REST door: /sdtune/v1 on the WebUI's own server, or on ours."""

import json
import logging

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse

from lib_sdtune.errors import NameTaken, RunError, UserError
from lib_sdtune.jobs import Refused, Unknown

PREFIX = "/sdtune/v1"
KEY = "x-sdtune-key"
MISSING = 404
STATUS = ((Unknown, MISSING), (NameTaken, 409), (Refused, 409), (UserError, 422), (RunError, 500))
WISHES = ("pause", "resume", "sample", "save")


def attach(app, jobs):
    """Add the routes to a FastAPI app. Every one of them asks `jobs.access` first."""
    from lib_sdtune.api_choose import choosing, looking
    from lib_sdtune.api_workshop import captioning, stations

    router = APIRouter(prefix=PREFIX)
    looking(router, jobs)
    watching(router, jobs)
    choosing(router, jobs)
    steering(router, jobs)
    captioning(router, jobs)
    stations(router, jobs)
    app.include_router(router)
    return app


def watching(router, jobs):
    """Questions; they change nothing."""

    @router.get("/")
    def about(request: Request):
        return answer(request, jobs, lambda: jobs.host.about())

    @router.get("/runs")
    def runs(request: Request):
        return answer(request, jobs, jobs.runs)

    @router.get("/runs/{name}")
    def run(request: Request, name: str):
        return answer(request, jobs, lambda: jobs.status(name))

    @router.get("/runs/{name}/config")
    def config(request: Request, name: str):
        return answer(request, jobs, lambda: jobs.config(name))

    @router.get("/runs/{name}/log")
    def log(request: Request, name: str, since: str = "0"):
        return answer(request, jobs, lambda: jobs.log(name, number("since", since)))

    @router.get("/runs/{name}/samples/{file}")
    def sample(request: Request, name: str, file: str):
        return answer(request, jobs, lambda: jobs.sample(name, file), FileResponse)

    @router.get("/runs/{name}/report")
    def report(request: Request, name: str):
        return answer(request, jobs, lambda: jobs.report(name), PlainTextResponse)

    @router.get("/schema")
    def schema(request: Request):
        from lib_sdtune import declaration
        from lib_sdtune.config import Config

        return answer(request, jobs, lambda: declaration.schema(Config))


def steering(router, jobs):
    """Orders; only from the page's own origin."""

    @router.post("/runs", status_code=201)
    def submit(request: Request, body: bytes = Depends(raw)):
        return answer(request, jobs, lambda: {"id": jobs.submit(parsed(body))}, created)

    @router.post("/runs/{name}/stop")
    def stop(request: Request, name: str, save: str = "true"):
        return answer(request, jobs, lambda: told(jobs, name, "stop" if truth("save", save) else "stop_without_saving"))

    @router.post("/runs/{name}/{wish}")
    def ask(request: Request, name: str, wish: str):
        if wish not in WISHES:
            raise HTTPException(MISSING, "Not Found")
        return answer(request, jobs, lambda: told(jobs, name, wish))

    @router.delete("/runs/{name}")
    def delete(request: Request, name: str):
        return answer(request, jobs, lambda: jobs.delete(name) or {})


async def raw(request: Request):
    """The body as sent, so that what is wrong with it is told in our words."""
    return await request.body()


def parsed(body):
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise UserError("The body is not JSON.") from None
    if not isinstance(data, dict):
        raise UserError("The body must be a JSON object.")
    return data


def number(key, text):
    if not text.lstrip("-").isdecimal():
        raise UserError(f'"{key}" must be a whole number.')
    return int(text)


def truth(key, text):
    if text.lower() not in ("true", "false", "1", "0"):
        raise UserError(f'"{key}" must be true or false.')
    return text.lower() in ("true", "1")


def told(jobs, name, wish):
    jobs.request(name, wish)
    return jobs.status(name)


def created(data):
    return JSONResponse(data, status_code=201)


def answer(request, jobs, work, wrap=JSONResponse):
    """The result of `work`, wrapped; errors are one sentence under "detail", never a traceback."""
    admit(request, jobs.access)
    try:
        return wrap(work())
    except (UserError, RunError) as error:
        code = next(code for kind, code in STATUS if isinstance(error, kind))
        return JSONResponse({"detail": str(error)}, status_code=code)
    except Exception as error:
        logging.getLogger("sdtune").exception("%s %s", request.method, request.url.path)
        sentence = f"This is a fault of SD Tune: {type(error).__name__}. The console has the details."
        return JSONResponse({"detail": sentence}, status_code=500)


def admit(request, access):
    """Refuse strangers, and orders that another site's page sends through the user's browser."""
    if access.knows(request.headers.get(KEY) or request.query_params.get("key")):  # a picture's address carries no header
        return
    if request.method != "GET" and not same_origin(request):
        raise HTTPException(403, "This call came from another site's page.")
    if access.closed:
        raise HTTPException(403, access.closed)
    if not access.admits(request.headers.get("authorization")):
        raise HTTPException(401, "Incorrect username or password", headers={"WWW-Authenticate": "Basic"})


def same_origin(request):
    """Programs send no Origin; a browser's must name the host it calls."""
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return False
    origin = request.headers.get("origin")
    return not origin or origin.partition("://")[2] == request.headers.get("host")
