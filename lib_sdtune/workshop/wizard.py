"""What a training would need: guessed at once, or measured by two real steps, which wait their turn among the runs."""

from lib_sdtune.errors import UserError
from lib_sdtune.workshop.station import Station
from lib_sdtune.workshop.work import Work


class Wizard(Station):
    """One measurement at a time; `found` is the last one's."""

    def guess(self, wanted):
        """The facts of an estimate for a CONFIG, pictures or not; {} where the host cannot say what it has."""
        from lib_sdtune.training import measure

        need = measure.guess(self.jobs.read(named(wanted)), self.jobs.host)
        return need.facts() if need else {}

    def start(self, wanted):
        """Measure two steps of a CONFIG. UserError for what Start would refuse as well."""
        if self.work and self.work.live:
            raise UserError("Two steps are being measured already; wait for them, or stop them.")
        config = self.jobs.read(named(wanted))
        self.jobs.look(config)
        self.work = work = Work("waiting for the model")
        self.jobs.errand(lambda: work.run(lambda progress: self.measure(config, progress)))
        return self.look()

    def measure(self, config, progress):
        from lib_sdtune.training import measure

        host = self.jobs.host
        with host.patient(lambda: progress(0, 0, "waiting for the model")):
            return measure.measure(config, host, progress).facts()

    def look(self):
        """{"work": how far it is, "found": what was measured}; null where there is none."""
        return super().look() | {"found": self.work.result if self.work else None}


def named(wanted):
    """No run yet, so it needs no name."""
    return wanted | {"name": wanted.get("name") or "measuring"}
