"""Routes for presets that a person saves: listed, saved or imported, exported, renamed, deleted."""

from fastapi import APIRouter, Depends, Request, Response

from lib_sdtune.api.answers import answer, body, parsed
from lib_sdtune.app import App


def add(router: APIRouter, app: App) -> None:
    @router.get("/presets")
    def presets(request: Request) -> Response:
        return answer(request, app.access, app.presets.list)

    @router.get("/presets/{name}")
    def preset(request: Request, name: str) -> Response:
        return answer(request, app.access, lambda: app.presets.load(name))

    @router.post("/presets")
    def save(request: Request, body: bytes = Depends(body)) -> Response:
        return answer(request, app.access, lambda: app.presets.save(parsed(body)))

    @router.post("/presets/{name}/rename")
    def rename(request: Request, name: str, body: bytes = Depends(body)) -> Response:
        return answer(request, app.access, lambda: app.presets.rename(name, parsed(body)))

    @router.delete("/presets/{name}")
    def delete(request: Request, name: str) -> Response:
        return answer(request, app.access, lambda: app.presets.delete(name))
