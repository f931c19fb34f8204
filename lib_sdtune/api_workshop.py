"""The routes for pictures and captions: albums of captions, and the stations where pictures are looked at, prepared and drawn."""

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


def stations(router, jobs):
    """Where something is at work: a look at it, its beginning and its end."""
    bench, wizard = (lambda: jobs.workshop.bench), (lambda: jobs.workshop.wizard)
    station(router, jobs, "/inspect", lambda: jobs.workshop.looking, begin="inspect")
    station(router, jobs, "/prepare", bench)
    station(router, jobs, "/class-pictures", lambda: jobs.workshop.classes)
    station(router, jobs, "/measure", wizard)
    question(router, jobs, "/prepare/preview", lambda data: bench().preview(data))
    question(router, jobs, "/memory", lambda data: wizard().guess(data))


def station(router, jobs, path, of, begin="start"):
    """GET: how the work goes. POST: begin it with what the body says. POST /stop: end it."""

    @router.get(path)
    def look(request: Request):
        return answer(request, jobs, lambda: of().look())

    @router.post(f"{path}/stop")
    def stop(request: Request):
        return answer(request, jobs, lambda: of().stop())

    question(router, jobs, path, lambda data: getattr(of(), begin)(data))


def question(router, jobs, path, reply):
    @router.post(path)
    def ask(request: Request, body: bytes = Depends(raw)):
        return answer(request, jobs, lambda: reply(parsed(body)))


def there(data):
    if data is None:
        raise Unknown("There is no such picture.")
    return data


def jpeg(data):
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"})
