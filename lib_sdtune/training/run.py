"""A run, from the first moment to the last, on one screen."""

import logging

from lib_sdtune.config import Config
from lib_sdtune.host.base import Host
from lib_sdtune.host.watcher import watched
from lib_sdtune.ineffective_settings import ineffective
from lib_sdtune.methods import registry as methods
from lib_sdtune.methods.base import Artefact
from lib_sdtune.training import drawn_prompts
from lib_sdtune.training.control import Control
from lib_sdtune.training.memory.offloaded_parts import idle
from lib_sdtune.training.run_end import running
from lib_sdtune.training.startup import prepared
from lib_sdtune.training.step_result import Step
from lib_sdtune.training.trainer import Trainer

log = logging.getLogger("sdtune")


def run(config: Config, host: Host, control: Control) -> Artefact | None:
    """Train what `config` says on the model that `host` lends; the artefact, or None when stopped without saving.

    `control` hears what happens and says what is wanted. Whatever happens inside, the host has its model back as it
    was.
    """
    with running(control), watched(control.stop_requested, control.report_drawing):
        method = methods[config.method]
        for sentence in [*ineffective(config), *drawn_prompts.unknown_tags(config, host)]:
            log.warning(sentence)
        with host.borrow(control.model_settings, idle(config, method)) as model:
            control.report_model(model)
            trainer = Trainer(config, model, control)  # refuses what cannot fit, before hours of drawing
            with prepared(trainer, host, control):
                if not trainer.step and control.wants("sample", trainer.beginning()):
                    control.add_samples(trainer.sample(host))
                for step in trainer:
                    control.report(step)
                    write_what_is_due(step, trainer, host, control)
                    while control.wants("pause", step):
                        host.pause(trainer.attachment.detached, control.stay_paused)
                        write_what_is_due(step, trainer, host, control)
                    if control.wants("stop", step):
                        break
                    host.yield_to_queue(trainer.attachment.detached, control.report_waiting)
                artefact = export(trainer, host, control)
        for file in [artefact, *artefact.extra_artefacts] if artefact else []:
            control.add_artefact(file.path)
            host.publish(file)
        return artefact


def export(trainer: Trainer, host: Host, control: Control) -> Artefact | None:
    """The artefact of the whole training; on a full disk the run is paused until there is room for it."""
    artefact = trainer.export(host)
    step = trainer.describe_step(trainer.step, trainer.loss, 0.0, 0.0)
    while artefact is None and control.is_paused_by_fault():
        host.pause(trainer.attachment.detached, control.stay_paused)
        write_what_is_due(step, trainer, host, control)
        artefact = trainer.export(host)
    return artefact


def write_what_is_due(step: Step, trainer: Trainer, host: Host, control: Control) -> None:
    """Samples and files that are due at this step, or were asked for since, also in a pause."""
    if control.wants("sample", step):
        control.add_samples(trainer.sample(host))
    if control.wants("save", step):
        for path in trainer.save(host.folder(trainer.method.kind)):
            control.add_artefact(path)
