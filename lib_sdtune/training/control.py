"""The two-way street between a run and whoever watches it: requests go in, status comes out. Safe to use from any thread."""

import logging
import math
import threading
import time
from contextlib import contextmanager, suppress

from lib_sdtune.errors import DiskFull, RunError, UserError, sentence
from lib_sdtune.formats.files import write_json
from lib_sdtune.training import replaced, run_lock
from lib_sdtune.training.notes import noted
from lib_sdtune.training.parallel import World

ENDED = ("finished", "stopped", "failed")  # the other states: queued, preparing, training, paused
LEAVING = ("stop", "stop_without_saving", "interrupt")  # with the file, with nothing, with the state alone
REQUESTS = (*LEAVING, "pause", "resume", "sample", "save")
NOT_HELD = "", lambda: False
log = logging.getLogger("sdtune")


class Stopped(Exception):
    """Raised out of preparation when a stop was asked for; nothing was trained yet."""


class Control:
    """One run's wishes and status. `folder` is the run folder; `on_change(control)` is called after every change."""

    def __init__(self, config, folder, on_change=None):
        self.config, self.folder, self.on_change, self.world = config, folder, on_change, World()
        self.state, self.message, self.waiting = "queued", "", ""
        self.step, self.total_steps, self.epoch, self.loss = 0, 0, 0, None
        self.epochs, self.seconds, self.phase = 0, [], {}
        self.artefacts, self.samples = [], []
        self.scan = None  # a `Scan` made before the run, whose files need not be read again
        self.facts, self.spent = {}, {}  # what else watchers are told; seconds by what they went to
        self.held, self.served, self.postponed = NOT_HELD, {}, set()
        self._asked, self._changed, self._written = set(), threading.Condition(), 0.0

    # what watchers call

    def request(self, wish):
        """Ask for something; it takes effect at the next step. UserError where it makes no sense."""
        if wish not in REQUESTS:
            raise UserError(f"A run cannot be asked to {wish!r}; it can: {', '.join(REQUESTS)}.")
        if self.state in ENDED:
            raise UserError(f"The run {self.config.name} is {self.state}, so it cannot {wish.replace('_', ' ')} now.")
        with self._changed:
            if wish == "resume":
                self._asked.discard("pause")
            else:
                self._asked.add(wish)
            self._changed.notify_all()

    def snapshot(self):
        """The run as JSON, in the words of the HTTP contract."""
        pace = self.pace()
        left = None if pace is None or not self.total_steps else max(0.0, (self.total_steps - self.step) * pace)
        return {"id": self.config.name, "method": self.config.method, "state": self.state, "step": self.step,
                "total_steps": self.total_steps, "epoch": self.epoch, "epochs": self.epochs, "loss": self.loss,
                "seconds_per_step": pace, "eta_seconds": left, "message": self.waiting or self.message,
                "waiting": bool(self.waiting), "artefacts": list(self.artefacts), "samples": list(self.samples),
                "overhead": self.overhead(), **self.phase, **self.facts}

    def pace(self):
        """Median seconds of the last steps, or None."""
        recent = sorted(self.seconds[-30:])
        return recent[len(recent) // 2] if recent else None

    def overhead(self):
        """What the time goes to besides training, in a sentence, or ""."""
        total = sum(self.spent.values())
        shares = {what: 100 * seconds / total for what, seconds in self.spent.items() if what != "training"} if total else {}
        told = [f"{what} take{'' if what.endswith('s') else 's'} {share:.0f} %" for what, share in shares.items() if share >= 1]
        return " and ".join(told) + " of the time" if told else ""

    @contextmanager
    def spending(self, what):
        """The time inside goes to `what`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.spent[what] = self.spent.get(what, 0.0) + time.perf_counter() - started

    # what the run calls

    @contextmanager
    def running(self):
        """Keep the state true from the first moment to the last, whatever happens inside."""
        try:
            with recorded(self.folder), noted(self):
                try:
                    self.become("preparing")
                    yield
                    self.become("stopped" if self.leaving() else "finished", self.message)
                except Stopped:
                    self.become("stopped", "Stopped before the first step.")
                except KeyboardInterrupt:
                    self.become("stopped", "Interrupted; resuming goes on from the last saved state.")
                    raise
                except BaseException as error:
                    log.debug("run failed", exc_info=True)
                    self.become("failed", sentence(error))
                    if isinstance(error, UserError | RunError) or not isinstance(error, Exception):
                        raise
                    raise RunError(self.message) from error
        finally:
            self.close()

    def close(self):
        """The run has ended: its folder is free again, and an earlier run that it would have replaced in vain is put back."""
        if self.world.leads:
            replaced.put_back(self.folder, self.message)
            run_lock.release(self.folder)

    def become(self, state, message=""):
        self.state, self.message, self.waiting, self.phase = state, message, "", {}
        if message:
            (log.error if state == "failed" else log.info)("%s: %s", state, message)
        self.changed(at_once=True)

    def preparing(self, done, total, text):
        """Progress callback of everything before the first step; raises `Stopped` when a stop was asked for."""
        self.phase = {"phase": text, "phase_done": done, "phase_total": total}
        self.message = f"{text}: {done} of {total}" if total else text
        self.changed()
        if self.leaving():
            raise Stopped

    def trains(self, model):
        """Say which model (`host.base.LoadedModel`) is being trained."""
        self.facts |= {"model": model.name, "family": model.family.sd_version}

    def begin(self, step, total, epochs):
        """The first step comes next: `step` of `total` are done already, and all of them are `epochs`."""
        self.step, self.total_steps, self.epochs = step, total, epochs
        self.become("training")

    def report(self, step):
        self.step, self.epoch = step.number, step.epoch
        self.loss = step.loss if math.isfinite(step.loss) else None  # JSON has no NaN
        self.seconds = [*self.seconds[-29:], step.seconds]
        self.spent["training"] = self.spent.get("training", 0.0) + step.seconds
        self.message = f"{step.skipped} steps skipped because the numbers overflowed" if step.skipped else ""
        self.changed()

    def wants(self, wish, step):
        """Whether the run should do this now: asked for by somebody, or due by the config at this step.

        At the last step the final file is what would be saved. What is due is due once.
        """
        if wish == "stop":
            return self.world.agree(self.leaving())
        if wish == "pause":
            return self.world.agree(self.asked("pause"))
        if wish in self.postponed and not self.asked("pause"):
            self.postponed.discard(wish)
            return True
        new, self.served[wish] = self.served.get(wish) != step.number, step.number
        return self.take(wish) or new and due(getattr(self.config, wish), step) and not (wish == "save" and step.last)

    def asked(self, wish):
        return wish in self._asked

    def leaving(self):
        return any(self.asked(wish) for wish in LEAVING)

    def take(self, wish):
        with self._changed:
            asked = wish in self._asked
            self._asked.discard(wish)
            return asked

    def show(self, files):
        self.samples += [str(file) for file in files]
        self.changed(at_once=True)

    def made(self, file):
        if str(file) not in self.artefacts:
            self.artefacts.append(str(file))
        self.changed(at_once=True)

    def resting(self):
        """True while the run should rest; sleeps a little, so that it can be called in a loop.

        A sample or a file that is asked for ends the rest, not the pause.
        """
        reason, over = self.held
        if self.state != "paused":
            self.become("paused", reason)
        with self._changed:
            self._changed.wait_for(lambda: not self.asked("pause") or self.leaving() or self.errand(), timeout=0.2)
        if self.leaving() or over():
            self.take("pause")
        if not self.asked("pause"):
            self.held = NOT_HELD
            self.become("training")
        return self.asked("pause") and not self.errand()

    def errand(self):
        return self.asked("sample") or self.asked("save")

    def hold(self, reason, over, request=""):
        """Pause because of something that somebody has to mend; `over()` tells when it is, and then the run goes on by itself.

        request: "sample" or "save", which could not be done and is done then.
        """
        self.held = reason, over
        if request:
            self.postponed.add(request)
        with self._changed:
            self._asked.add("pause")

    def wait_for(self, whom):
        """Say whom the run waits for ("a generation"), or nobody ("")."""
        self.waiting = f"waiting for {whom}" if whom else ""
        self.changed(at_once=True)

    def changed(self, at_once=False):
        if not self.world.leads:
            return
        if at_once or time.monotonic() - self._written > 2:
            self._written = time.monotonic()
            if self.folder.exists():
                with suppress(DiskFull):  # the run goes on or pauses by itself; watchers in this process still hear of it
                    write_json(self.folder / "status.json", self.snapshot())
        if self.on_change:
            self.on_change(self)


def due(settings, step):
    """Whether `every_n_steps` or `every_n_epochs` of a config section falls on this step."""
    by_step = settings.every_n_steps and step.number % settings.every_n_steps == 0
    by_epoch = settings.every_n_epochs and step.epoch_ends and step.epoch % settings.every_n_epochs == 0
    return bool(by_step or by_epoch)


@contextmanager
def recorded(folder):
    """run.log of the run folder gets what the `sdtune` logger says meanwhile."""
    if not folder.exists():
        yield
        return
    handler = logging.FileHandler(folder / "run.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        handler.close()
