"""A run, from the first moment to the last, on one screen."""

import logging

from lib_sdtune.methods import registry as methods
from lib_sdtune.overruled import overruled
from lib_sdtune.training import class_pictures
from lib_sdtune.training.trainer import Trainer

log = logging.getLogger("sdtune")

def run(config, host, control):
    """Train what `config` says on the model that `host` lends; the artefact, or None when stopped without saving.

    `control` hears what happens and says what is wanted. Whatever happens inside, the host has its model back as it was.
    """
    with control.running():
        method = methods[config.method]
        for sentence in overruled(config):
            log.warning(sentence)
        with host.borrow(config.model, method) as model:
            control.trains(model)
            trainer = Trainer(config, model, control)  # refuses what cannot fit, before hours of drawing
            if method.uses_class_pictures:
                class_pictures.complete(config, host, control)
            with trainer:
                for step in trainer:
                    control.report(step)
                    attend(step, trainer, host, control)
                    while control.wants("pause", step):
                        host.rest(trainer.attachment.detached, control.resting)
                        attend(step, trainer, host, control)
                    if control.wants("stop", step):
                        break
                    host.breathe(trainer.attachment.detached, control.wait_for)
                artefact = trainer.export(host)
        for made in [artefact, *artefact.others] if artefact else []:
            control.made(made.path)
            host.publish(made)
        return artefact


def attend(step, trainer, host, control):
    """What is due at this step, or was asked for since, also in a pause."""
    if control.wants("sample", step):
        control.show(trainer.sample(host))
    if control.wants("save", step):
        for file in trainer.save(host.folder(trainer.method.kind)):
            control.made(file)
