"""Words for pictures that have none: the model itself says which of some words fit what it sees.

A caption that names what should stay changeable, colour and place, keeps it out of what the trigger words come to mean;
without captions all pictures say the same. The model is asked as a classifier (Li et al. 2023, arXiv 2303.16203): of
the words of a group, that one fits a picture under which its noise is predicted best. So no other model is needed, and
no word is used that the model does not know.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from lib_sdtune import diffusion
from lib_sdtune.config import Config
from lib_sdtune.contradictions import is_template
from lib_sdtune.data.class_word import class_word
from lib_sdtune.data.example import Example, Picture
from lib_sdtune.data.trigger_captions import sentence, stands_behind
from lib_sdtune.progress import Progress
from lib_sdtune.randomness import generator
from lib_sdtune.sections.concept import Concept
from lib_sdtune.training import resume_checks
from lib_sdtune.training.batch import Batch, concats, sizes
from lib_sdtune.training.saved_descriptions import SavedDescriptions
from lib_sdtune.training.training_data import TrainingData

TIMESTEPS = (700, 600, 500, 400)  # asked at these, 150 of 150 colours and grounds of unknown forms are named rightly
AHEAD, AT_MOST = 0.98, 1.05  # of the next word's loss and of none's: of 40 unknown colours 14 pass, of grounds 3
log = logging.getLogger("sdtune")
Losses = Callable[[Batch], torch.Tensor]


def groups_of(lines: Iterable[str]) -> list[list[str]]:
    """[["red", "green"], ["on snow", "on grass"]] of "red, green" and "on snow, on grass"."""
    return [words for line in lines if (words := [word.strip() for word in line.split(",") if word.strip()])]


def describe(config: Config, training_data: TrainingData, losses: Losses, folder: Path, progress: Progress) -> None:
    """Give every picture without a caption its words, where the settings name some to choose from.

    losses: (B,) of a `Batch` on the device, by the untouched model. What was chosen is kept in the run folder, so that
    a resumed run learns the same words.
    """
    groups, scan = groups_of(config.dataset.describe), training_data.scan
    wordless = {index: picture for index, picture in enumerate(scan.pictures)
                if picture.caption_from == "prompt" and not picture.is_class
                and names_its_class(config.concepts[picture.concept])}
    if not groups or not wordless:
        return
    model, prompts, asked = training_data.model, [concept.prompt for concept in config.concepts], 0
    kept = SavedDescriptions(folder / "words.json", groups, resume_checks.model_identity(model))
    words: dict[int, list[str]] = {}
    with training_data.offloaded_parts.on_gpu(model.unet, *model.text_encoders):
        classifier = DiffusionClassifier(training_data, losses, model.device, config.train.batch_size)
        for done, (index, picture) in enumerate(wordless.items()):
            progress(done, len(wordless), "asking the model what the pictures show")
            known = kept.of(picture, prompts[picture.concept])
            if known is None:
                known, asked = classifier.words(index, prompts[picture.concept], groups), asked + 1
            kept.add(picture, prompts[picture.concept], known)
            words[index] = known
    kept.write()
    distinguishing = words_to_say(words.values(), groups)
    scan.pictures = [described(picture, config.concepts[picture.concept], words[index], distinguishing)
                     if index in wordless else picture for index, picture in enumerate(scan.pictures)]
    training_data.build_datasets()
    tell(asked, len(wordless), scan.pictures[min(wordless)].caption)


def tell(asked: int, count: int, caption: str) -> None:
    """Say of how many of `count` pictures the model was asked now; caption: the first one's."""
    if asked == count:
        log.info("The model was asked what the pictures without captions show (%d); the first one's caption is now "
                 '"%s".', count, caption)
    elif asked:
        log.info("The model was asked what %d of %d pictures without captions show, and what the others show is kept "
                 'from before; the first one\'s caption is now "%s".', asked, count, caption)
    else:
        log.info("What the pictures without captions show (%d) is kept from before, so the model was not asked again; "
                 'the first one\'s caption is now "%s".', count, caption)


def names_its_class(concept: Concept) -> bool:
    """Whether the prompt can take words, and has a word for the class, which the model is likely to know."""
    return not is_template(concept.prompt) and bool(class_word(concept.class_prompt or concept.prompt))


def words_to_say(words_of_pictures: Iterable[Sequence[str]], groups: Sequence[Sequence[str]]) -> set[str]:
    """The words that captions say: of those in front of the noun, such as colours, only where pictures differ, for
    what all of them share is the subject's own.
    """
    spoken = {word for words in words_of_pictures for word in words}
    differing = [spoken.intersection(group) for group in groups]
    return {word for words in differing for word in words if len(words) > 1 or stands_behind(word)}


def described(picture: Picture, concept: Concept, words: Sequence[str], distinguishing: set[str]) -> Picture:
    chosen = [word for word in words if word in distinguishing]
    return replace(picture, caption=sentence(concept.prompt, chosen))


def best_word(losses: Sequence[tuple[float, str]], plain: float) -> str:
    """The word of the lowest loss; "" where another one fits as well, or saying none (loss `plain`) fits better."""
    (best, word), *others = sorted(losses)
    return word if best < AHEAD * min((loss for loss, _ in others), default=plain) and best < AT_MOST * plain else ""


class DiffusionClassifier:
    """Asks the model about one picture after the other. batch_size: captions that are asked about at once."""

    def __init__(self, training_data: TrainingData, losses: Losses, device: torch.device, batch_size: int) -> None:
        self.training_data, self.losses, self.device, self.batch_size = training_data, losses, device, batch_size

    def words(self, index: int, prompt: str, groups: Sequence[Sequence[str]]) -> list[str]:
        """The best word of each group, where one fits.

        It is asked for in the caption that the picture would have: under the class word alone the model would doubt
        the form as well, and name fewer colours rightly (docs/first-try.md).
        """
        example = self.training_data.unaugmented.example(index, 0)
        plain, *losses = self.errors(example, [sentence(prompt, [word] if word else ()) for word in
                                               ("", *(word for group in groups for word in group))])
        by_word = dict(zip((word for group in groups for word in group), losses, strict=True))
        best = [best_word([(by_word[word], word) for word in group], plain) for group in groups]
        return [word for word in best if word]

    @torch.no_grad()
    def errors(self, example: Example, captions: Sequence[str]) -> list[float]:
        """The mean loss of the picture under each caption, at the same noise."""
        sums = [0.0] * len(captions)
        for timestep in TIMESTEPS:
            for start in range(0, len(captions), self.batch_size):
                batch = self.batch(example, timestep, list(captions[start:start + self.batch_size]))
                for index, loss in enumerate(self.losses(batch).tolist(), start):
                    sums[index] += loss / len(TIMESTEPS)
        return sums

    def batch(self, example: Example, timestep: int, captions: list[str]) -> Batch:
        """The example once for each caption, with one noise."""
        cache, count = self.training_data.cache, len(captions)
        mean, _ = cache.latents(example)
        noise = diffusion.noise_like(mean.shape, generator(0, "describing", example.picture.content, timestep))
        examples = [example] * count
        return Batch(torch.stack([mean] * count), torch.stack([noise] * count), None,
                     torch.tensor([timestep] * count), torch.ones(count), None, captions, examples, sizes(examples),
                     concats(examples, cache)).to(self.device)
