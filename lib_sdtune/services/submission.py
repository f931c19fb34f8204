"""From what somebody asks for to a run that can work: settings checked, pictures read, before anything is written."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lib_sdtune.access import Access
from lib_sdtune.errors import UserError
from lib_sdtune.services.context import ServiceContext

if TYPE_CHECKING:
    from lib_sdtune.config import Config
    from lib_sdtune.data.scan import Scan
    from lib_sdtune.host.base import Host


def read_config(data: "dict | Config", host: "Host", name: str = "") -> "Config":
    """A checked `Config` from CONFIG's nested dict, with what the host recommends laid under it. UserError.

    name: what it is called where the dict has no name, because no run comes of it (yet).
    """
    from lib_sdtune.config import Config

    if isinstance(data, Config):
        return data
    if name and not data.get("name"):
        data = data | {"name": name}
    return Config.from_dict(data, host.defaults(Config.model_of(data)))


def check_config(config: "Config", context: ServiceContext, appearance: bool = False,
                 progress: Callable[[int, int, str], None] | None = None) -> "Scan":
    """The `Scan` of a run's pictures; folders that may not be named, or hold no usable picture, are refused. UserError.

    The config's folders become absolute. appearance: see `scan`. progress(done, total, text) may raise to stop.
    What the latest scan has read is not read again.
    """
    from lib_sdtune.contradictions import schedule_fits
    from lib_sdtune.data import held_out, masks
    from lib_sdtune.data.caption_checks import refuse_wordless
    from lib_sdtune.data.loader import Dataset
    from lib_sdtune.data.scan import scan
    from lib_sdtune.formats.names import check_artefact_name
    from lib_sdtune.methods import registry as methods

    check_artefact_name(config.name, methods[config.method].kinds(config))
    check_folders(config, context.access)
    if reason := context.host.why_unusable(methods[config.method].kind):
        raise UserError(reason)
    context.host.check(config.model)
    pictures = scan(config.concepts, config.dataset, config.loss, Path.cwd(), progress, appearance,
                    [context.host.folder("templates")], earlier=context.latest_scan)
    context.latest_scan = pictures
    refuse_wordless(pictures)
    if config.dataset.masked_loss:
        masks.refuse_useless(pictures.pictures)
    if config.validation.images:
        held_out.read(config, pictures, Path.cwd(), progress, [context.host.folder("templates")])
    methods[config.method].prepare_data(config, pictures)
    methods[config.method].check_data(config, pictures)
    if not any(concept.num_class_images for concept in config.concepts):  # an epoch of theirs is not known yet
        schedule_fits(config, Dataset(pictures, config).total_steps)
    return pictures


def check_folders(config: "Config", access: Access) -> None:
    """Make every folder that a config names absolute. UserError where one of them may not be named."""
    from lib_sdtune.data.subsets import toml_folders

    for number, concept in enumerate(config.concepts):
        for key in concept.FOLDERS:
            if getattr(concept, key):
                setattr(concept, key, str(access.folder(getattr(concept, key), f"concepts[{number}].{key}")))
        access.template(concept.prompt, f"concepts[{number}].prompt")
        for folder in toml_folders(concept.images):
            access.folder(folder, f"concepts[{number}].images")
    if config.validation.images:
        config.validation.images = str(access.folder(config.validation.images, "validation.images"))
        for folder in toml_folders(config.validation.images):
            access.folder(folder, "validation.images")
