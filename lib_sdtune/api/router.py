"""All routes of /sdtune/v1, added to a server."""

from fastapi import APIRouter, FastAPI

from lib_sdtune.api import captions, evaluation, presets, runs, services
from lib_sdtune.app import App

PREFIX = "/sdtune/v1"


def attach(server: FastAPI, app: App) -> FastAPI:
    """Add the routes to a FastAPI server. Every one of them asks `app.access` first."""
    router = APIRouter(prefix=PREFIX)
    for routes in (runs, evaluation, captions, services, presets):
        routes.add(router, app)
    server.include_router(router)
    return server
