"""Prior preservation without pictures: the untouched model is the teacher of what the class is.

Next to every subject's example goes the same picture's noise under the class prompt; there the trained model shall answer
what the untouched one answers (learning without forgetting, Li & Hoiem 2016, arXiv 1606.09282). An add-on is taken off
for the question. Where the model itself learns, a number of answers is asked for before the first step and kept.
"""

from dataclasses import replace

import torch

from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.training.batch import draw

TURNS = 256  # kept questions; then they come round again
TWIN = 1 << 40  # added to an example's number, so that its twin has noise of its own


def choose(trainer):
    if trainer.config.loss.prior_preservation != "teacher":
        return Nobody()
    return (Asked if trainer.method.cheap_to_detach else Kept)(trainer)


class Nobody:
    """No teacher."""

    def prepare(self):
        pass

    def batches(self, micro_step, examples):
        return []


class Asked:
    """Answers at every step, with the add-on taken off for a moment."""

    def __init__(self, trainer):
        self.trainer, self.config, self.material = trainer, trainer.config, trainer.material

    def prepare(self):
        """Call it while the model is untouched: what the text encoder makes of the class prompts is kept."""
        self.material.text_cache.prepare([concept.class_prompt for concept in self.config.concepts if concept.class_prompt])

    def batches(self, micro_step, examples):
        """At most one `Batch`, with the teacher's answers, on the model's device."""
        batch = self.question(micro_step, examples)
        if batch is None:
            return []
        with self.trainer.attachment.undressed():
            return [replace(batch, answers=self.answer(batch))]

    def question(self, micro_step, examples):
        twins = [self.twin(example) for example in examples if not example.picture.is_class and self.prompt(example)]
        if not twins:
            return None
        return replace(draw(twins, micro_step, self.material.cache, self.config), masks=None).to(self.trainer.model.device)

    def twin(self, example):
        return replace(example, caption=self.prompt(example), weight=self.config.loss.prior_loss_weight, index=example.index + TWIN)

    def prompt(self, example):
        return self.config.concepts[example.picture.concept].class_prompt

    @torch.no_grad()
    def answer(self, batch):
        conditioning = self.material.text_cache.conditioning(batch.captions).to(self.trainer.model.device)
        return self.trainer.predict(batch, conditioning).float()


class Kept(Asked):
    """Answers of the untouched model to the questions of the first steps, kept in a file of the run folder."""

    def prepare(self):
        super().prepare()
        path = self.trainer.folder / "teacher.safetensors"
        if self.trainer.world.leads and not path.exists():
            self.ask(path)
        self.trainer.world.gather()
        self.answers, facts = safetensors.read(path)
        self.turns = int(facts["turns"])

    def ask(self, path):
        steps = self.trainer.total * self.config.train.gradient_accumulation_steps * self.trainer.world.size
        turns, answers = min(steps, TURNS), {}
        for turn in range(turns):
            batch = self.question(turn, self.material.examples(turn))
            if batch is not None:
                answers[str(turn)] = self.answer(batch).cpu()
            self.trainer.control.preparing(turn + 1, turns, "asking the model about the class")
        safetensors.write(path, answers, {"turns": str(turns)})

    def batches(self, micro_step, examples):
        turn = micro_step % self.turns
        if str(turn) not in self.answers:
            return []
        batch = self.question(turn, self.material.examples(turn))
        return [replace(batch, answers=self.answers[str(turn)].to(self.trainer.model.device))]
