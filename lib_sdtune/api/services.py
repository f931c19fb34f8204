"""Routes for what takes a while besides runs: inspecting, preparing, drawing class pictures, measuring, LoRA tools."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from lib_sdtune.api.answers import answer, body, jpeg, or_not_found, parsed, truth
from lib_sdtune.app import App
from lib_sdtune.services.class_pictures import ClassPictureService
from lib_sdtune.services.inspection import InspectionService
from lib_sdtune.services.lora_tools import LoraToolService
from lib_sdtune.services.memory import MemoryService
from lib_sdtune.services.preparing import PrepareService

Startable = InspectionService | PrepareService | ClassPictureService | MemoryService | LoraToolService


def add(router: APIRouter, app: App) -> None:
    for path, service in (
        ("/inspect", app.inspection),
        ("/prepare", app.preparing),
        ("/class-pictures", app.class_pictures),
        ("/measure", app.memory),
        ("/lora-tools", app.lora_tools),
    ):
        add_service(router, app, path, service)
    add_pictures(router, app)
    add_question(router, app, "/prepare/preview", app.preparing.preview)
    add_question(router, app, "/memory", app.memory.estimate)
    add_question(router, app, "/import", app.settings_import.read)


def add_pictures(router: APIRouter, app: App) -> None:
    @router.get("/picture-sets")
    def picture_sets(request: Request) -> Response:
        return answer(request, app.access, app.picture_sets.list)

    @router.post("/picture-sets/{name}/rename")
    def rename_pictures(request: Request, name: str, body: bytes = Depends(body)) -> Response:
        return answer(request, app.access, lambda: app.rename_pictures(name, parsed(body)))

    @router.delete("/picture-sets/{name}")
    def delete_pictures(request: Request, name: str) -> Response:
        return answer(request, app.access, lambda: app.delete_pictures(name))

    @router.get("/inspect/pictures/{name}")
    def picture(request: Request, name: str, large: str = "false") -> Response:
        def thumbnail() -> bytes:
            return or_not_found(app.inspection.thumbnail(name, truth("large", large)), "There is no such picture.")

        return answer(request, app.access, thumbnail, jpeg)


def add_service(router: APIRouter, app: App, path: str, service: Startable) -> None:
    """GET: how it goes. POST: start it with what the body says. POST /stop: end it."""

    @router.get(path)
    def status(request: Request) -> Response:
        return answer(request, app.access, service.status)

    @router.post(f"{path}/stop")
    def stop(request: Request) -> Response:
        return answer(request, app.access, service.stop)

    add_question(router, app, path, service.start)


def add_question(router: APIRouter, app: App, path: str, function: Callable[[dict], Any]) -> None:
    """POST `path` is answered by `function(body)`."""

    @router.post(path)
    def ask(request: Request, body: bytes = Depends(body)) -> Response:
        return answer(request, app.access, lambda: function(parsed(body)))
