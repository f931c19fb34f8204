"""What keeps the class as it was: class pictures, the untouched model as a teacher, or nothing.

The teacher needs the class in words. Where nobody wrote them they are read off the trigger words and captions, so that
a training for which nothing was set does not turn every cat into the subject.
"""

from collections.abc import Sequence

from lib_sdtune.config import Config
from lib_sdtune.contradictions import is_template
from lib_sdtune.data.class_word import class_prompt
from lib_sdtune.data.example import Picture
from lib_sdtune.data.subsets import is_toml
from lib_sdtune.methods import registry as methods
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sentences import phrase

FORWARDS_OF_A_STEP = 3  # forward, and backward twice as long; a question costs that, and the untouched answer


def taught_prompts(config: Config, pictures: Sequence[Picture]) -> list[str]:
    """Of each concept the prompt that the teacher is asked about, "" where it is not asked. pictures: a scan's."""
    if not methods[config.method].uses_class_pictures or config.loss.prior_preservation == "pictures":
        return [""] * len(config.concepts)
    return [prompt_of(config, number, concept, pictures) for number, concept in enumerate(config.concepts)]


def prompt_of(config: Config, number: int, concept: Concept, pictures: Sequence[Picture]) -> str:
    of_concept = [picture for picture in pictures if picture.concept == number]
    if config.loss.prior_preservation == "auto" and any(picture.is_class for picture in of_concept):
        return ""
    captions = [picture.caption for picture in of_concept if not picture.is_class]
    words = "" if is_template(concept.prompt) else concept.prompt
    return concept.class_prompt or class_prompt(words, captions)


def sentence(config: Config, pictures: Sequence[Picture]) -> str:
    """What is done for the class, and what it costs; "" where nothing could be."""
    method = methods[config.method]
    prompts = sorted(set(filter(None, taught_prompts(config, pictures))))
    if prompts:
        forwards = FORWARDS_OF_A_STEP + method.cheap_to_detach  # else the answers are stored before the first step
        every = config.loss.teacher_every_n_examples
        often = f"one picture in {every}" if every > 1 else phrase("every picture")
        sentences = [f"The class stays as it is: the untouched model is asked what {quoted(prompts)} is, at {often}.",
                     f"A step takes about {round(100 * forwards / FORWARDS_OF_A_STEP / every)} % longer.",
                     of_the_empty_prompt(config.loss.teacher_caption_dropout_rate)]
        return " ".join(filter(None, sentences))
    is_left_out = config.loss.prior_preservation == "pictures" or not method.uses_class_pictures
    if is_left_out or any(picture.is_class for picture in pictures):
        return ""
    return ("Nothing keeps the class as it is: its name cannot be read off the words. Trigger words such as "
            '"zwx cat" or a class prompt such as "a photo of a cat" would; a style has none.')


def of_the_empty_prompt(rate: float) -> str:
    if not rate:
        return ""
    return f"Of these questions {round(100 * rate)} % are about an empty prompt, from which guidance leads away."


def quoted(prompts: list[str]) -> str:
    return " and ".join(f'"{prompt}"' for prompt in prompts)


def most_twins(config: Config) -> int:
    """How many examples the teacher may add to a micro-batch: those whose turn it is come together by chance, and in a
    whole run all of one at some time.
    """
    return config.train.batch_size if may_teach(config) else 0


def is_asked(index: int, occurrence: int, every: int) -> bool:
    """Whether the teacher is asked at this showing of a picture: they take turns, each as often as the others."""
    return (index + occurrence) % every == 0


def next_asked(index: int, occurrence: int, every: int) -> int:
    """The first showing from `occurrence` on at which it is."""
    return occurrence + -(index + occurrence) % every


def may_teach(config: Config) -> bool:
    """Whether the teacher may be asked, as far as the settings tell without the pictures."""
    if not methods[config.method].uses_class_pictures or config.loss.prior_preservation == "pictures":
        return False
    return config.loss.prior_preservation == "teacher" or any(
        not concept.class_images and not is_toml(concept.images) and not is_template(concept.prompt)
        and (concept.class_prompt or class_prompt(concept.prompt)) for concept in config.concepts)
