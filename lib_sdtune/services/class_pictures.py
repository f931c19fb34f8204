"""Class pictures drawn before any training, so that they can be looked at; they wait their turn among the runs."""

from pathlib import Path
from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.host.watcher import watched
from lib_sdtune.progress import Progress
from lib_sdtune.services.submission import read_config
from lib_sdtune.services.task import Task, TaskService


class ClassPictureService(TaskService):
    """One set at a time."""

    def start(self, data: dict) -> dict[str, Any]:
        """Draw what the concepts of a CONFIG lack. UserError for nothing to draw, or a folder that may not be named."""
        from lib_sdtune.training import class_pictures

        self.refuse_a_second("Class pictures are being drawn already; wait for them, or stop them.")
        config = read_config(data, self.context.host, "class-pictures")
        numbers = [number for number, concept in enumerate(config.concepts) if concept.num_class_images]
        if not numbers:
            raise UserError('"concepts[0].num_class_images" is 0, so there is nothing to draw; set it, say to 100.')
        for number in numbers:
            self.check(config.concepts[number], f"concepts[{number}]")
        self.context.host.check(config.model)
        missing = sum(len(class_pictures.missing_pictures(config, number, Path.cwd())) for number in numbers)
        if not missing:
            raise UserError("There are as many class pictures as are asked for; nothing is missing.")
        self.task = task = Task("waiting for the model")
        self.context.queue.run_when_free(lambda: task.run(lambda progress: self.draw(config, task, progress)))
        return self.status()

    def check(self, concept: Any, where: str) -> None:
        for key in concept.FOLDERS:
            if getattr(concept, key) or key == "class_images":
                setattr(concept, key, str(self.context.access.folder(getattr(concept, key), f"{where}.{key}")))
        if not concept.class_prompt.strip():
            raise UserError(f'"{where}.class_prompt" is empty; write what the class pictures show, '
                            'such as "a photo of a cat".')

    def draw(self, config: Any, task: Task, progress: Progress) -> None:
        """While the model is not free, asking again and again whether to go on waiting."""
        from lib_sdtune.training.class_pictures import draw

        host = self.context.host
        waiting = host.waiting_with(lambda: progress(0, 0, "waiting for the model"))
        with waiting, watched(lambda: task.stopping, task.report_drawing):
            draw(config, host, progress)
        host.free_memory()
