"""The routes for choosing: pictures by their loss, the grid and its ranking, publishing, comparing, reports."""

from fastapi import Depends, Request
from fastapi.responses import FileResponse

from lib_sdtune.api import answer, parsed, raw
from lib_sdtune.jobs import Unknown

HARMLESS = {"Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'"}


def looking(router, jobs):
    """Questions."""
    shelf(router, jobs, "/runs/{name}/pictures", "pictures", "thumbnail", FileResponse)
    shelf(router, jobs, "/runs/{name}/choose", "look", "file", shown)
    shelf(router, jobs, "/choices/{name}", "look_loose", "file_loose", shown)

    @router.get("/choices")
    def choices(request: Request):
        return answer(request, jobs, lambda: jobs.desk.files())

    @router.get("/runs/{name}/report.html")
    def report_page(request: Request, name: str):
        from lib_sdtune import report

        return answer(request, jobs, lambda: jobs.desk.report(name, f"{report.machine()}, {report.packages()}"), shown)

    @router.get("/compare")
    def compare(request: Request, one: str, other: str):
        return answer(request, jobs, lambda: jobs.desk.compare(one, other))

    @router.get("/compare.html")
    def comparison(request: Request, one: str, other: str):
        return answer(request, jobs, lambda: jobs.desk.comparison(one, other), shown)


def choosing(router, jobs):
    """Orders."""

    @router.post("/runs/{name}/choose")
    def start(request: Request, name: str, body: bytes = Depends(raw)):
        return answer(request, jobs, lambda: jobs.desk.start(name, parsed(body or b"{}")))

    @router.post("/runs/{name}/choose/stop")
    def stop(request: Request, name: str):
        return answer(request, jobs, lambda: jobs.desk.stop(name))

    @router.post("/runs/{name}/publish")
    def publish(request: Request, name: str, body: bytes = Depends(raw)):
        return answer(request, jobs, lambda: jobs.desk.publish(name, parsed(body or b"{}")))

    @router.post("/runs/{name}/unpublish")
    def unpublish(request: Request, name: str):
        return answer(request, jobs, lambda: jobs.desk.unpublish(name))


    @router.post("/choices/{name}")
    def start_loose(request: Request, name: str, body: bytes = Depends(raw)):
        return answer(request, jobs, lambda: jobs.desk.start_loose(name, parsed(body)))

    @router.post("/choices/{name}/stop")
    def stop_loose(request: Request, name: str):
        return answer(request, jobs, lambda: there(jobs.desk.stop_loose(name)))


def shelf(router, jobs, address, whole, one, wrap):
    """GET `address`: all of it as JSON, the desk's `whole(name)`; GET `address`/FILE: one file of it, the desk's `one(name, file)`."""

    @router.get(address)
    def everything(request: Request, name: str):
        return answer(request, jobs, lambda: there(getattr(jobs.desk, whole)(name)))

    @router.get(address + "/{file}")
    def single(request: Request, name: str, file: str):
        return answer(request, jobs, lambda: there(getattr(jobs.desk, one)(name, file)), wrap)


def there(found):
    if found is None:
        raise Unknown("There is no such file.")
    return found


def shown(path):
    return FileResponse(path, headers=HARMLESS)
