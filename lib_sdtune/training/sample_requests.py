"""The pictures that a run draws on its way: of its settings' prompts, or of its own trigger words and captions."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lib_sdtune import prompt_lines
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.prompts import tags
from lib_sdtune.training.prior import FORWARDS_OF_A_STEP
from lib_sdtune.training.sample_times import TENTHS, SampleTimes

if TYPE_CHECKING:
    from lib_sdtune.config import Config
    from lib_sdtune.data.loader import Dataset

MAX_PROMPTS = 4
FORWARDS_OF_DECODING = 4  # of SD1's VAE, by the multiplications of both at 512 x 512


def sample_requests(config: "Config", dataset: "Dataset") -> list[SampleRequest]:
    """One `SampleRequest` a prompt; a prompt's own settings (`lib_sdtune.prompt_lines`) go before the section's.

    Where the settings have no prompts the run makes them: as many as can be drawn at every tenth of the run within the
    share of the time that samples may take (`sample_times.MAX_SHARE`), one at least.
    """
    if requests := requests_of_settings(config):
        return requests
    requests = [SampleRequest(prompt, **general(config)) for prompt in suggested_prompts(config, dataset)]
    times = SampleTimes(config.sample, dataset.total_steps)
    pictures = int(times.budget / cost_in_steps(config, requests[:1]))
    return requests[: max(1, pictures // (TENTHS + 1))] if times.auto else requests[:1]


def requests_of_settings(config: "Config") -> list[SampleRequest]:
    """Those of `sample.prompts`; none where the run makes its own."""
    return [SampleRequest(**general(config) | prompt_lines.parse(line))
            for line in prompt_lines.spoken(config.sample.prompts)]


def general(config: "Config") -> dict[str, Any]:
    """What the section says of every picture; of a resolution that no picture can have, the next smaller one."""
    sample, side = config.sample, config.dataset.resolution // 8 * 8
    return {"steps": sample.steps, "cfg_scale": sample.cfg_scale, "seed": sample.seed,
            "width": sample.width or side, "height": sample.height or side}


def sample_facts(requests: Sequence[SampleRequest]) -> dict[str, Any]:
    """What pages show of a run's samples: their prompts, and the size of the first in pixels."""
    return {"sample_prompts": [request.prompt for request in requests],
            "sample_width": requests[0].width, "sample_height": requests[0].height}


def suggested_prompts(config: "Config", dataset: "Dataset") -> list[str]:
    """Prompts that show what is learned: of each concept its trigger words, then a caption of one of its pictures."""
    triggers, captions = [], []
    for number, concept in enumerate(config.concepts):
        indices = [index for index, picture in enumerate(dataset.scan.pictures)
                   if picture.concept == number and not picture.is_class]
        if not indices:
            continue
        if number in dataset.scan.templates:
            triggers.append(dataset.example(indices[0], 0).caption)
            continue
        triggers.append(concept.prompt)
        captions += [dataset.scan.pictures[index].caption for index in indices
                     if dataset.scan.pictures[index].caption_from == "file"][:1]
    captions.append(dataset.scan.pictures[0].caption)
    words = (tags(prompt)[0] for prompt in [*triggers, *captions])  # <lora:…> in a caption asks for no file
    return distinct(words)[:MAX_PROMPTS] or [""]


def distinct(prompts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(prompt.strip() for prompt in prompts if prompt.strip()))


def cost_in_steps(config: "Config", requests: Sequence[SampleRequest]) -> float:
    """What drawing the pictures costs, in optimizer steps: counted in passes through the UNet, before any is measured.
    """
    passes = sum(request.width * request.height * (
        request.steps * (2 if request.cfg_scale != 1 else 1) + FORWARDS_OF_DECODING) for request in requests)
    train, side = config.train, config.dataset.resolution
    return passes / (FORWARDS_OF_A_STEP * side * side * train.batch_size * train.gradient_accumulation_steps)
