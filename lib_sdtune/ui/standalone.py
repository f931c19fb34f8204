"""The tab without a WebUI: the same Blocks and the same API on one small server of this machine."""

import gradio as gr
from fastapi import FastAPI

from lib_sdtune.api.router import attach
from lib_sdtune.ui import page
from lib_sdtune.ui.tab import build


def serve(door):
    """A FastAPI app with the tab of this `Door` at `/` and the API of its app beside it."""
    page.install()
    tab = build(door)
    with gr.Blocks(theme=page.theme(), title="SD Tune", analytics_enabled=False, css=page.CSS) as whole:
        tab.render()
    server = gr.mount_gradio_app(attach(FastAPI(docs_url=None, redoc_url=None), door.app), whole, path="/")
    for route in server.routes:  # gradio answers pages of every origin; none of them may start a run here
        if isinstance(getattr(route, "app", None), FastAPI):
            route.app.user_middleware.clear()
    return server
