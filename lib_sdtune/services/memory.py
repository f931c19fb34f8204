"""What a training would need: estimated at once, or measured by two real steps, which take their turn in the queue."""

from typing import Any

from lib_sdtune.progress import Progress
from lib_sdtune.services.submission import check_config, read_config
from lib_sdtune.services.task import Task, TaskService

NAME = "measuring"  # of settings that have none yet


class MemoryService(TaskService):
    """One measurement at a time."""

    def estimate(self, data: dict) -> dict[str, Any]:
        """The facts of an estimate for a CONFIG, pictures or not; {} where the host cannot say what it has."""
        from lib_sdtune.training.memory import measure

        need = measure.estimated_need(read_config(data, self.context.host, NAME), self.context.host)
        return need.facts() if need else {}

    def start(self, data: dict) -> dict[str, Any]:
        """Measure two steps of a CONFIG. UserError for what Start would refuse as well."""
        self.refuse_a_second("Two steps are being measured already; wait for them, or stop them.")
        config = read_config(data, self.context.host, NAME)
        check_config(config, self.context)
        self.task = task = Task("waiting for the model")
        self.context.queue.run_when_free(lambda: task.run(lambda progress: self.measure(config, progress)))
        return self.status()

    def measure(self, config: Any, progress: Progress) -> dict[str, Any]:
        from lib_sdtune.training.memory import measure

        host = self.context.host
        with host.waiting_with(lambda: progress(0, 0, "waiting for the model")):
            return measure.measure(config, host, progress).facts()

    def status(self) -> dict[str, Any]:
        """{"work": how far it is, "found": what was measured}; null where there is none."""
        return super().status() | {"found": self.task.result if self.task else None}
