"""The prompts that a run has its host draw: refused where it cannot, and told where it would leave something out."""

from collections.abc import Iterator

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.host.base import Host, SampleRequest
from lib_sdtune.methods import registry as methods
from lib_sdtune.training import class_pictures, sample_requests


def drawn(config: Config) -> Iterator[tuple[str, SampleRequest]]:
    """(key of the setting, `SampleRequest`) of each: those of samples, and of class pictures."""
    yield from (('"sample.prompts"', request) for request in sample_requests.requests_of_settings(config))
    if methods[config.method].uses_class_pictures:
        yield from ((f'"concepts[{number}].class_prompt"', class_pictures.request(config, number, 0))
                    for number, concept in enumerate(config.concepts) if concept.num_class_images)


def check(config: Config, host: Host) -> None:
    """UserError for a sample or a class picture that the host could not draw, which would end the run in its middle."""
    for key, request in drawn(config):
        try:
            host.check_request(request)
        except UserError as error:
            raise UserError(f"{key} has {request.prompt!r}, which cannot be drawn: {error}") from error


def unknown_tags(config: Config, host: Host) -> list[str]:
    """A sentence for each tag of these prompts that the host would pass over."""
    keys = {tag: key for key, request in drawn(config) for tag in host.unknown_tags(request.prompt)}
    return [f"{key} has {tag}, and there is no file of that name: pictures are drawn without it. Correct the name, or "
            "put the file there and refresh the WebUI's list." for tag, key in keys.items()]
