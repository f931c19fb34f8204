"""The tab without a WebUI: the same Blocks and the same API on one small server of this machine."""

from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from lib_sdtune.access import LOOPBACK, Access
from lib_sdtune.api.admission import Refused, refuse_other_sites
from lib_sdtune.api.router import attach
from lib_sdtune.ui import page
from lib_sdtune.ui.context import TabContext
from lib_sdtune.ui.tab import build

THIS_MACHINE = Access(hosts=lambda: set(LOOPBACK))


def serve(context: TabContext) -> FastAPI:
    """A FastAPI app with the tab of this `TabContext` at `/` and the API of its app beside it."""
    page.install()
    tab = build(context)
    with gr.Blocks(theme=page.theme(), title="SD Tune", analytics_enabled=False, css=page.CSS) as page_blocks:
        tab.render()
    server = gr.mount_gradio_app(attach(FastAPI(docs_url=None, redoc_url=None), context.app), page_blocks, path="/")
    for route in server.routes:  # gradio answers pages of every origin; none of them may start a run here
        if isinstance(getattr(route, "app", None), FastAPI):
            route.app.user_middleware.clear()
    server.middleware("http")(only_this_machine)
    server.add_middleware(WithoutSockets)
    return server


class WithoutSockets:
    """Every WebSocket is refused: browsers open them to any site, and the tab, which has no queue, needs none."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return await self.app(scope, receive, send)
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": "SD Tune uses no WebSockets."})


async def only_this_machine(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Every address of the server, gradio's too, answers under this machine's names and to our own page alone.

    gradio's `/file=` would hand out any file below the folder that the program started in; the tab needs none of it.
    """
    try:
        refuse_other_sites(request, THIS_MACHINE)
    except Refused as problem:
        return JSONResponse({"detail": problem.detail}, status_code=problem.status_code)
    if request.url.path.startswith(("/file", "/proxy")):
        return PlainTextResponse("Not Found", status_code=404)
    return await call_next(request)
