"""Routes for captions: a folder is opened, its captions are edited under the id that it gets, and saved when asked."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request, Response

from lib_sdtune.api.answers import answer, body, jpeg, or_not_found, parsed, whole_number
from lib_sdtune.app import App

if TYPE_CHECKING:
    from lib_sdtune.services.caption_editor import CaptionEditor


def add(router: APIRouter, app: App) -> None:
    add_questions(router, app)
    add_changes(router, app)


def add_questions(router: APIRouter, app: App) -> None:
    @router.post("/captions")
    def open_folder(request: Request, body: bytes = Depends(body)) -> Response:
        return answer(request, app.access, lambda: app.captions.open(parsed(body)))

    @router.get("/captions/{name}")
    def page(request: Request, name: str, query: str = "", page: str = "0") -> Response:
        def show() -> Any:
            return app.captions.page(name, {"query": query, "page": whole_number("page", page)})

        return answer(request, app.access, show)

    @router.get("/captions/{name}/work")
    def status(request: Request, name: str) -> Response:
        return answer(request, app.access, lambda: app.captions.get(name).status())

    @router.get("/captions/{name}/pictures/{index}")
    def picture(request: Request, name: str, index: str) -> Response:
        def thumbnail() -> bytes:
            return or_not_found(app.captions.get(name).thumbnail(index), "There is no such picture.")

        return answer(request, app.access, thumbnail, jpeg)


def add_changes(router: APIRouter, app: App) -> None:
    def add_verb(verb: str, function: Callable[["CaptionEditor", dict], Any]) -> None:
        """POST /captions/ID/VERB is answered by `function(editor, body)`."""

        @router.post(f"/captions/{{name}}/{verb}", name=f"captions_{verb}")
        def act(request: Request, name: str, body: bytes = Depends(body)) -> Response:
            return answer(request, app.access, lambda: function(app.captions.get(name), parsed(body or b"{}")))

    add_verb("preview", lambda editor, data: editor.preview(data))
    add_verb("edit", lambda editor, data: editor.edit(data))
    add_verb("write", lambda editor, data: editor.write(data))
    add_verb("prune", lambda editor, data: editor.prune(data))
    add_verb("common", lambda editor, data: editor.common(data))
    add_verb("finals", lambda editor, data: editor.finals(data))
    add_verb("describe", lambda editor, data: editor.describe(data))
    add_verb("undo", lambda editor, _: editor.undo())
    add_verb("save", lambda editor, data: editor.save(data))
    add_verb("stop", lambda editor, _: editor.stop())
