"""Something that takes a while, in a thread of its own, as its watchers see it."""

import logging
import threading

from lib_sdtune.errors import RunError, UserError

log = logging.getLogger("sdtune")


class Stopped(Exception):
    """It was asked to stop; what is done stays."""


class Work:
    """state: waiting, working, done, stopped or failed. result: what the function gave, once it is done."""

    def __init__(self, text="waiting"):
        self.state, self.done, self.total, self.text, self.message, self.result = "waiting", 0, 0, text, "", None
        self.stopping = False

    def begin(self, function):
        """Call `function(progress)` in a thread; progress(done, total, text) raises when the work is to stop."""
        threading.Thread(target=self.run, args=(function,), name="sdtune-workshop", daemon=True).start()
        return self

    def run(self, function):
        try:
            self.progress(0, 0, self.text)
            self.result = function(self.progress)
            self.state = "done"
        except Stopped:
            self.state = "stopped"
        except (UserError, RunError) as error:
            self.end("failed", str(error))
        except Exception as error:
            log.exception("workshop")
            self.end("failed", f"This is a fault of SD Tune: {type(error).__name__}: {error}. The console has the details.")

    def end(self, state, message):
        self.message = message  # first, so that nobody sees the end without its reason
        self.state = state

    def progress(self, done, total, text):
        self.state, self.done, self.total, self.text = "working", done, total, text
        if self.stopping:
            raise Stopped

    def stop(self):
        self.stopping = True

    @property
    def live(self):
        return self.state in ("waiting", "working")

    def seen(self):
        return {"state": self.state, "done": self.done, "total": self.total, "text": self.text, "message": self.message}
