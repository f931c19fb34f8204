"""Class pictures drawn before any training, so that they can be looked at; they wait their turn among the runs."""

from pathlib import Path

from lib_sdtune.errors import UserError
from lib_sdtune.workshop.station import Station
from lib_sdtune.workshop.work import Work


class Classes(Station):
    """One set at a time."""

    def start(self, wanted):
        """Draw what the concepts of a CONFIG lack. UserError when there is nothing to draw or a folder may not be named."""
        from lib_sdtune.training import class_pictures

        if self.work and self.work.live:
            raise UserError("Class pictures are being drawn already; wait for them, or stop them.")
        config = self.jobs.read(wanted | {"name": wanted.get("name") or "class-pictures"})  # no run yet, so it needs no name
        asked = [number for number, concept in enumerate(config.concepts) if concept.num_class_images]
        if not asked:
            raise UserError('"concepts[0].num_class_images" is 0, so there is nothing to draw; set it, say to 100.')
        for number in asked:
            self.check(config.concepts[number], f"concepts[{number}]")
        self.jobs.host.check(config.model)
        missing = sum(len(class_pictures.places(config, number, Path.cwd())) for number in asked)
        if not missing:
            raise UserError("There are as many class pictures as are asked for; nothing is missing.")
        self.work = Work("waiting for the model")
        self.jobs.errand(lambda: self.work.run(lambda progress: self.draw(config, progress)))
        return self.look()

    def check(self, concept, where):
        for key in ("images", "class_images"):
            if getattr(concept, key) or key == "class_images":
                setattr(concept, key, str(self.jobs.access.folder(getattr(concept, key), f"{where}.{key}")))
        if not concept.class_prompt.strip():
            raise UserError(f'"{where}.class_prompt" is empty; write what the class pictures show, such as "a photo of a cat".')

    def draw(self, config, progress):
        """While the model is not free, asking again and again whether to go on waiting."""
        from lib_sdtune.training.class_pictures import draw

        host = self.jobs.host
        with host.patient(lambda: progress(0, 0, "waiting for the model")):
            draw(config, host, progress)
        host.tidy()
