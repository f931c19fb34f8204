"""Watches a picture being drawn: reports since when, says in whose code a stuck sampler is, and passes on a cancel.

The sampler runs in the thread that waits for it, and an extension's callback can keep that thread for ever. Nobody can
end such a thread from outside: all that can be done is to say where it stays.
"""

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from modules import shared

from lib_sdtune.host.base import SampleRequest
from lib_sdtune.host.watcher import Watcher, watcher
from lib_sdtune.host.webui.extensions import ownership
from lib_sdtune.sentences import phrase

PATIENCE = 300.0  # seconds without a sampling step; one of a large picture on a CPU takes a minute or two
INTERVAL = 0.5  # seconds between two looks
log = logging.getLogger("sdtune")


@contextmanager
def watching(request: SampleRequest) -> Iterator[None]:
    """Inside, the picture of `request` is drawn in this thread; the thread's `Watcher` hears of it."""
    watch = SamplerWatchdog(request, threading.get_ident(), watcher())
    thread = threading.Thread(target=watch.run, name="sdtune-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watch.over.set()
        thread.join()  # no interrupt of ours may reach the user's next picture
        watch.watcher.report("")


class SamplerWatchdog:
    """Looks after one picture. thread: the identity of the one that draws it."""

    def __init__(self, request: SampleRequest, thread: int, watcher: Watcher) -> None:
        self.request, self.thread, self.watcher = request, thread, watcher
        self.over, self.since = threading.Event(), time.strftime("%H:%M:%S")
        self.start = phrase(f"drawing a picture since {self.since}")
        self.said, self.logged = "", None  # the last sentence about being stuck, and the owner in the log
        self.watcher.report(self.start)

    def run(self) -> None:
        """Until `over` is set."""
        position, moved = self.position(), time.monotonic()
        while not self.over.wait(INTERVAL):
            if self.watcher.cancelled() and not shared.state.interrupted:
                shared.state.interrupt()  # as the WebUI's own button: the sampler ends at its next step
            if self.position() != position:
                position, moved = self.position(), time.monotonic()
                self.move_on()
            elif time.monotonic() - moved > PATIENCE:
                self.say_where(time.monotonic() - moved)

    def position(self) -> tuple[int, int]:
        """How far the sampler is: (picture, step)."""
        return shared.state.job_no, shared.state.sampling_step

    def move_on(self) -> None:
        """The sampler has got further."""
        if self.said:
            log.info("The picture is getting on again.")
            self.watcher.report(self.start)
        self.said, self.logged = "", None

    def say_where(self, seconds: float) -> None:
        """The sampler has got no further for `seconds`: in the log once for each place, and to who waits every minute.
        """
        owner = self.owner()
        sentence = self.sentence(seconds, owner)
        if owner != self.logged:
            log.warning("%s", sentence)
            self.logged = owner
        if sentence != self.said:
            self.watcher.report(sentence)
            self.said = sentence

    def owner(self) -> str:
        """The extension in whose code the thread is, or that called what it is in; "" where it is none's."""
        frame = sys._current_frames().get(self.thread)
        return ownership.running(frame) if frame else ""

    def sentence(self, seconds: float, owner: str) -> str:
        """What has got no further, for how long, in whose code, and what to do."""
        inside, without = (f", inside {owner}", f" without {owner}") if owner else ("", "")
        return (
            f'The picture "{self.request.prompt[:80]}" (seed {self.request.seed}), begun at {self.since}, has got no '
            f"further for {max(1, round(seconds / 60))} min{inside}. Interrupt and Stop are remembered and obeyed as "
            f"soon as the sampler answers. If it never does, restart the WebUI{without} and resume: nothing that was "
            "saved is lost."
        )
