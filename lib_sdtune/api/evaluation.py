"""Routes for evaluation: pictures by their loss, the grid and its ranking, publishing, comparing, reports."""

from typing import Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse

from lib_sdtune.api.answers import answer, body, harmless, or_not_found, parsed, truth
from lib_sdtune.app import App
from lib_sdtune.errors import require


def add(router: APIRouter, app: App) -> None:
    add_runs(router, app)
    add_any_files(router, app)
    add_comparisons(router, app)


def add_runs(router: APIRouter, app: App) -> None:
    """The files and pictures of one run."""

    @router.get("/runs/{name}/pictures")
    def pictures(request: Request, name: str) -> Response:
        return answer(request, app.access, lambda: app.evaluation.pictures(app.jobs.folder(name)))

    @router.get("/runs/{name}/pictures/{file}")
    def picture(request: Request, name: str, file: str, large: str = "false") -> Response:
        def thumbnail() -> Any:
            return or_not_found(app.evaluation.thumbnail(app.jobs.folder(name), file, truth("large", large)))

        return answer(request, app.access, thumbnail, FileResponse)

    @router.get("/runs/{name}/choose")
    def status(request: Request, name: str) -> Response:
        return answer(request, app.access, lambda: app.evaluation.status(app.jobs.folder(name)))

    @router.get("/runs/{name}/choose/{file}")
    def file(request: Request, name: str, file: str) -> Response:
        return answer(request, app.access, lambda: or_not_found(app.evaluation.file(app.jobs.folder(name), file)),
                      harmless)

    @router.post("/runs/{name}/choose")
    def start(request: Request, name: str, body: bytes = Depends(body)) -> Response:
        return answer(request, app.access, lambda: app.evaluation.start(app.jobs.ended(name), parsed(body or b"{}")))

    @router.post("/runs/{name}/choose/estimate")
    def estimate(request: Request, name: str, body: bytes = Depends(body)) -> Response:
        return answer(request, app.access, lambda: app.evaluation.estimate(app.jobs.ended(name), parsed(body or b"{}")))

    @router.post("/runs/{name}/choose/stop")
    def stop(request: Request, name: str) -> Response:
        return answer(request, app.access, lambda: app.evaluation.stop(app.jobs.folder(name)))

    @router.post("/runs/{name}/publish")
    def publish(request: Request, name: str, body: bytes = Depends(body)) -> Response:
        return answer(request, app.access, lambda: app.evaluation.publish(app.jobs.ended(name), parsed(body or b"{}")))

    @router.post("/runs/{name}/unpublish")
    def unpublish(request: Request, name: str) -> Response:
        return answer(request, app.access, lambda: app.evaluation.unpublish(app.jobs.ended(name)))


def add_any_files(router: APIRouter, app: App) -> None:
    """Files of the host that no run need have made, compared under a name."""

    @router.get("/choices")
    def files(request: Request) -> Response:
        return answer(request, app.access, lambda: app.evaluation.files())

    @router.get("/choices/{name}")
    def status(request: Request, name: str) -> Response:
        return answer(request, app.access, lambda: app.evaluation.status(app.evaluation.chosen(name)))

    @router.get("/choices/{name}/{file}")
    def file(request: Request, name: str, file: str) -> Response:
        return answer(request, app.access, lambda: or_not_found(app.evaluation.file(app.evaluation.chosen(name), file)),
                      harmless)

    @router.post("/choices/{name}")
    def start(request: Request, name: str, body: bytes = Depends(body)) -> Response:
        return answer(request, app.access, lambda: app.evaluation.start_any(name, parsed(body)))

    @router.post("/choices/{name}/estimate")
    def estimate(request: Request, name: str, body: bytes = Depends(body)) -> Response:
        return answer(request, app.access, lambda: app.evaluation.estimate_any(name, parsed(body)))

    @router.post("/choices/{name}/stop")
    def stop(request: Request, name: str) -> Response:
        return answer(request, app.access, lambda: app.evaluation.stop(app.evaluation.chosen(name)))


def add_comparisons(router: APIRouter, app: App) -> None:
    """A run on a page of its own, and two runs side by side."""

    def two_runs(first: str, second: str) -> tuple:
        require(first and second, '"one" and "other" must be the names of two runs.')
        return app.jobs.folder(first), app.jobs.folder(second)

    @router.get("/runs/{name}/report.html")
    def report(request: Request, name: str) -> Response:
        from lib_sdtune.report import machine, packages

        def write() -> Any:
            return app.evaluation.report(app.jobs.folder(name), app.jobs.status(name), f"{machine()}, {packages()}")

        return answer(request, app.access, write, harmless)

    @router.get("/compare")
    def differences(request: Request, first: str = Query("", alias="one"),
                    second: str = Query("", alias="other")) -> Response:
        def compare() -> Any:
            return app.evaluation.compare(*two_runs(first, second))

        return answer(request, app.access, compare)

    @router.get("/compare.html")
    def page(request: Request, first: str = Query("", alias="one"), second: str = Query("", alias="other")) -> Response:
        def compare() -> Any:
            return app.evaluation.comparison(*two_runs(first, second))

        return answer(request, app.access, compare, harmless)
