"""The tab without a WebUI: the same Blocks and the same API on one small server of this machine."""

import gradio as gr
from fastapi import FastAPI

from lib_sdtune import api
from lib_sdtune.ui import page
from lib_sdtune.ui.tab import build


def app(door):
    """A FastAPI app with the tab at `/` and, if the door has jobs, the API beside it."""
    page.install()
    tab = build(door)
    with gr.Blocks(theme=page.theme(), title="SD Tune", analytics_enabled=False, css=page.CSS) as whole:
        tab.render()
    server = FastAPI(docs_url=None, redoc_url=None)
    if door.jobs is not None:
        api.attach(server, door.jobs)
    mounted = gr.mount_gradio_app(server, whole, path="/")
    for route in mounted.routes:  # gradio answers every origin; a page elsewhere must not be able to start a run here
        inner = getattr(route, "app", None)
        if isinstance(inner, FastAPI):
            inner.user_middleware.clear()
    return mounted
