"""The routes for choosing: pictures by their loss, the grid and its ranking, publishing, comparing, reports."""

from fastapi import Depends, Request
from fastapi.responses import FileResponse

from lib_sdtune.api import answer, parsed, raw
from lib_sdtune.jobs import Unknown

HARMLESS = {"Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'"}


def looking(router, jobs):
    """Questions."""

    @router.get("/runs/{name}/pictures")
    def pictures(request: Request, name: str):
        return answer(request, jobs, lambda: jobs.desk.pictures(name))

    @router.get("/runs/{name}/pictures/{index}")
    def thumbnail(request: Request, name: str, index: str):
        return answer(request, jobs, lambda: there(jobs.desk.thumbnail(name, index)), FileResponse)

    @router.get("/runs/{name}/choose")
    def choice(request: Request, name: str):
        return answer(request, jobs, lambda: jobs.desk.look(name))

    @router.get("/runs/{name}/choose/{file}")
    def file(request: Request, name: str, file: str):
        return answer(request, jobs, lambda: there(jobs.desk.file(name, file)), shown)

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


def there(path):
    if path is None:
        raise Unknown("There is no such file.")
    return path


def shown(path):
    return FileResponse(path, headers=HARMLESS)
