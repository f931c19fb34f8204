"""Routes for runs: what there is, how far it is, and orders."""

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse

from lib_sdtune.api.answers import answer, body, parsed, truth, whole_number
from lib_sdtune.app import App

if TYPE_CHECKING:
    from lib_sdtune.host.base import Host


def add(router: APIRouter, app: App) -> None:
    add_questions(router, app)
    add_orders(router, app)


def add_questions(router: APIRouter, app: App) -> None:
    """They change nothing."""

    @router.get("/")
    def about(request: Request) -> Response:
        return answer(request, app.access, app.about)

    @router.get("/schema")
    def schema(request: Request) -> Response:
        return answer(request, app.access, lambda: config_schema(app.host))

    @router.get("/runs")
    def runs(request: Request) -> Response:
        return answer(request, app.access, lambda: app.jobs.runs())

    @router.get("/runs/{name}")
    def status(request: Request, name: str) -> Response:
        return answer(request, app.access, lambda: app.jobs.status(name))

    @router.get("/runs/{name}/config")
    def config(request: Request, name: str) -> Response:
        return answer(request, app.access, lambda: app.jobs.config(name))

    @router.get("/runs/{name}/log")
    def log(request: Request, name: str, since: str = "0") -> Response:
        return answer(request, app.access, lambda: app.jobs.log(name, whole_number("since", since)))

    @router.get("/runs/{name}/samples/{file}")
    def sample(request: Request, name: str, file: str) -> Response:
        return answer(request, app.access, lambda: app.jobs.sample(name, file), FileResponse)

    @router.get("/runs/{name}/report")
    def report(request: Request, name: str) -> Response:
        return answer(request, app.access, lambda: app.jobs.report(name), PlainTextResponse)


def config_schema(host: "Host") -> dict[str, Any]:
    """JSON Schema of CONFIG, with the methods whose files this host's pictures can show."""
    from lib_sdtune import declaration, methods
    from lib_sdtune.config import Config

    schema = declaration.schema(Config)
    schema["properties"]["method"]["enum"] = methods.usable(host.why_unusable)
    return schema


def add_orders(router: APIRouter, app: App) -> None:
    """Only from the page's own origin."""

    def order(request: Request, name: str, action: str, places: bytes = b"") -> Response:
        def obey() -> dict[str, Any]:
            app.jobs.request(name, action, parsed(places) if places.strip() else None)
            return app.jobs.status(name)

        return answer(request, app.access, obey)

    @router.delete("/deferred-settings/{name}")
    def drop_deferred_setting(request: Request, name: str) -> Response:
        return answer(request, app.access, lambda: app.drop_deferred_setting(name))

    @router.post("/runs", status_code=201)
    def submit(request: Request, body: bytes = Depends(body)) -> Response:
        return answer(request, app.access, lambda: app.submit(parsed(body)),
                      lambda data: JSONResponse(data, status_code=201))

    @router.post("/runs/{name}/stop")
    def stop(request: Request, name: str, save: str = "true") -> Response:
        def obey() -> dict[str, Any]:
            app.jobs.request(name, "stop" if truth("save", save) else "stop_without_saving")
            return app.jobs.status(name)

        return answer(request, app.access, obey)

    @router.post("/runs/{name}/pause")
    def pause(request: Request, name: str) -> Response:
        return order(request, name, "pause")

    @router.post("/runs/{name}/resume")
    def resume(request: Request, name: str, body: bytes = Depends(body)) -> Response:
        return order(request, name, "resume", body)

    @router.post("/runs/{name}/retry")
    def retry(request: Request, name: str, body: bytes = Depends(body)) -> Response:
        return order(request, name, "retry", body)

    @router.post("/runs/{name}/move")
    def move(request: Request, name: str, to: str = "1") -> Response:
        def obey() -> dict[str, Any]:
            app.jobs.move(name, whole_number("to", to))
            return app.jobs.status(name)

        return answer(request, app.access, obey)

    @router.post("/runs/{name}/sample")
    def draw_sample(request: Request, name: str) -> Response:
        return order(request, name, "sample")

    @router.post("/runs/{name}/save")
    def save(request: Request, name: str) -> Response:
        return order(request, name, "save")

    @router.delete("/runs/{name}")
    def delete(request: Request, name: str) -> Response:
        def deleted() -> dict[str, Any]:
            app.delete(name)
            return {}

        return answer(request, app.access, deleted)
