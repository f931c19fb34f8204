"""The routes for pictures and captions: albums of captions, preparing a folder, class pictures, measuring."""

from fastapi import Depends, Request
from fastapi.responses import Response

from lib_sdtune.api import answer, parsed, raw
from lib_sdtune.jobs import Unknown


def captioning(router, jobs):
    """An album is a folder whose captions are being edited."""

    def album(name):
        try:
            return jobs.workshop.albums[name]
        except KeyError:
            raise Unknown("These captions are not open any more; load the folder again.") from None

    @router.post("/captions")
    def enter(request: Request, body: bytes = Depends(raw)):
        return answer(request, jobs, lambda: jobs.workshop.albums.enter(parsed(body)))

    @router.get("/captions/{name}")
    def view(request: Request, name: str, query: str = "", page: str = "0"):
        return answer(request, jobs, lambda: album(name).view({"query": query, "page": int(page) if page.isdecimal() else page}))

    @router.get("/captions/{name}/work")
    def work(request: Request, name: str):
        return answer(request, jobs, lambda: album(name).look())

    @router.get("/captions/{name}/pictures/{index}")
    def picture(request: Request, name: str, index: str):
        return answer(request, jobs, lambda: there(album(name).thumbnail(index)), jpeg)

    @router.post("/captions/{name}/{verb}")
    def act(request: Request, name: str, verb: str, body: bytes = Depends(raw)):
        return answer(request, jobs, lambda: done(album(name), verb, parsed(body or b"{}")))


ASKING = ("preview", "edit", "write", "prune", "common", "finals", "describe")
BARE = ("undo", "save", "stop")


def done(album, verb, data):
    if verb in BARE:
        return getattr(album, verb)()
    if verb not in ASKING:
        raise Unknown(f"Captions cannot {verb}.")
    return getattr(album, verb)(data)


def preparing(router, jobs):
    @router.get("/prepare")
    def look(request: Request):
        return answer(request, jobs, lambda: jobs.workshop.bench.look())

    @router.post("/prepare")
    def start(request: Request, body: bytes = Depends(raw)):
        return answer(request, jobs, lambda: jobs.workshop.bench.start(parsed(body)))

    @router.post("/prepare/preview")
    def preview(request: Request, body: bytes = Depends(raw)):
        return answer(request, jobs, lambda: jobs.workshop.bench.preview(parsed(body)))

    @router.post("/prepare/stop")
    def stop(request: Request):
        return answer(request, jobs, lambda: jobs.workshop.bench.stop())


def drawing(router, jobs):
    @router.get("/class-pictures")
    def look(request: Request):
        return answer(request, jobs, lambda: jobs.workshop.classes.look())

    @router.post("/class-pictures")
    def start(request: Request, body: bytes = Depends(raw)):
        return answer(request, jobs, lambda: jobs.workshop.classes.start(parsed(body)))

    @router.post("/class-pictures/stop")
    def stop(request: Request):
        return answer(request, jobs, lambda: jobs.workshop.classes.stop())


def measuring(router, jobs):
    """What a CONFIG would need: guessed at once (/memory), or by two real steps (/measure)."""

    @router.post("/memory")
    def guess(request: Request, body: bytes = Depends(raw)):
        return answer(request, jobs, lambda: jobs.workshop.wizard.guess(parsed(body)))

    @router.get("/measure")
    def look(request: Request):
        return answer(request, jobs, lambda: jobs.workshop.wizard.look())

    @router.post("/measure")
    def start(request: Request, body: bytes = Depends(raw)):
        return answer(request, jobs, lambda: jobs.workshop.wizard.start(parsed(body)))

    @router.post("/measure/stop")
    def stop(request: Request):
        return answer(request, jobs, lambda: jobs.workshop.wizard.stop())


def there(data):
    if data is None:
        raise Unknown("There is no such picture.")
    return data


def jpeg(data):
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"})
