"""The tab without a WebUI: the same Blocks and the same API on one small server of this machine."""

import gradio as gr
from fastapi import FastAPI

from lib_sdtune.ui import page
from lib_sdtune.ui.door import Door
from lib_sdtune.ui.tab import build


def launch(host, data_dir, port=7870, address="127.0.0.1"):
    """Serve the tab and the API until interrupted. `host` lends the model; `data_dir` only shows in the greeting."""
    import uvicorn

    from lib_sdtune.jobs import shared

    print(f"SD Tune: http://{address}:{port}/  (files go to {data_dir}; Ctrl+C ends it)", flush=True)
    uvicorn.run(app(shared(lambda: host)), host=address, port=port, log_level="warning")


def app(jobs):
    """A FastAPI app with the tab of these `jobs` at `/` and the API beside it."""
    from lib_sdtune.api import attach
    from lib_sdtune.config import Model

    page.install()
    tab = build(Door(jobs, "standalone", jobs.access.key, lambda: jobs.host.defaults(Model())))
    with gr.Blocks(theme=page.theme(), title="SD Tune", analytics_enabled=False, css=page.CSS) as whole:
        tab.render()
    server = gr.mount_gradio_app(attach(FastAPI(docs_url=None, redoc_url=None), jobs), whole, path="/")
    for route in server.routes:  # gradio answers pages of every origin; none of them may start a run here
        if isinstance(getattr(route, "app", None), FastAPI):
            route.app.user_middleware.clear()
    return server
