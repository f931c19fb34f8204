"""Whether captions say what they must: the new word, and for [filewords] something about each picture."""

import logging
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from lib_sdtune.data.caption_length import truncate
from lib_sdtune.data.captions import FILEWORDS, NAME, template
from lib_sdtune.data.example import Picture
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.data.scan import Scan
from lib_sdtune.data.variation import parted
from lib_sdtune.errors import UserError
from lib_sdtune.ldm.tokenizer import clip, words
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.general import GeneralConfig

log = logging.getLogger("sdtune")


def refuse_wordless(scan: Scan) -> None:
    """UserError for a template with [filewords] and a picture that has no words to put there."""
    for number, lines in scan.templates.items():
        if any(FILEWORDS in line for line in lines):
            for picture in learned(scan, number):
                if not picture.caption:
                    raise UserError(f'"concepts[{number}].prompt" puts words of each picture in place of [filewords], '
                                    f"and {picture.path.name} has none; write them into {picture.path.stem}.txt "
                                    "beside it, or use a template without [filewords].")


def add_word_templates(scan: Scan, config: GeneralConfig, word: str) -> None:
    """Let every concept's captions say `word`: where caption files never do, a prompt that does is the template, or a
    bundled one is.
    """
    scan.needs_name = True
    for number, concept in enumerate(config.concepts):
        described = [picture for picture in learned(scan, number) if picture.caption_from == "file"]
        if number not in scan.templates and not any(says(picture.caption, word) for picture in described):
            if not concept.prompt:
                scan.templates[number] = template("subject_filewords.txt" if described else "subject.txt", ()) or []
            elif described and says(concept.prompt, word):
                log.info('the caption files never say "%s", so "concepts[%d].prompt" is the template.', word, number)
                scan.templates[number] = [concept.prompt]


def check_word(scan: Scan, config: GeneralConfig, word: str) -> None:
    """UserError for a concept whose captions never say `word`; a warning for single ones."""
    for number, _ in enumerate(config.concepts):
        pictures = learned(scan, number)
        silent = [picture for picture in pictures if not says(picture.caption, word)]
        if (
            len(silent) < len(pictures)
            and number not in scan.templates
            and config.dataset.caption_tag_dropout_rate == 1
        ):
            refuse_dropped_word(pictures, config.dataset, word)
        if number not in scan.templates and not config.dataset.shuffle_caption:
            refuse_cut_word(pictures, config.dataset.max_token_length, word)
        if number in scan.templates:
            refuse_silent_template(scan.templates[number], silent, number, word)
        elif len(silent) == len(pictures):
            raise UserError(f'"concepts[{number}].prompt" and the captions never say "{word}", so nothing could be '
                            "learned; write [name] where it belongs, or give the name of a template "
                            "such as subject.txt.")
        elif silent:
            log.warning('%d of %d captions do not say "%s" and teach it nothing; the first is that of %s.',
                        len(silent), len(pictures), word, silent[0].path.name)


def refuse_cut_word(pictures: list[Picture], most: int, word: str) -> None:
    """UserError where every caption that says the word does so behind the tokens that are read."""
    saying = [picture.caption for picture in pictures if says(picture.caption, word)]
    if any(len(caption) <= most for caption in saying) or not saying:  # a token has a letter at least
        return
    tokenizer = clip()
    if not any(says(truncate(caption, tokenizer, most), word) for caption in saying):
        raise UserError(f'Every caption says "{word}" only behind the {most} tokens that are read, so nothing could be '
                        'learned; move it to the front, or raise "dataset.max_token_length".')


def refuse_dropped_word(pictures: list[Picture], dataset: DatasetConfig, word: str) -> None:
    staying = [(first, last) for first, _, last in (parted(picture.caption, dataset) for picture in pictures)]
    if not any(says(", ".join(first + last), word) for first, last in staying):
        raise UserError(f'"dataset.caption_tag_dropout_rate" is 1 and "dataset.keep_tokens" {dataset.keep_tokens}, so '
                        f'no caption would ever say "{word}" and nothing could learn; lower the first, or keep more '
                        "tags.")


def refuse_silent_template(lines: list[str], silent: list[Picture], number: int, word: str) -> None:
    spoken = [line.replace(NAME, word).replace(FILEWORDS, "") for line in lines]
    if silent and any(NAME in line for line in lines) and not any(says(line, word) for line in spoken):
        raise UserError(f'In the template of "concepts[{number}].prompt" the signs around [name] become part of '
                        f'"{word}", so '
                        "it could not learn; choose a name that begins and ends with a letter or a digit.")
    mute = [line for line in lines if NAME not in line and not says(line, word)]
    if mute and silent and len(mute) == len(lines):
        raise UserError(f'"concepts[{number}].prompt" is a template that never says [name], so "{word}" could not '
                        "learn; add [name] to its lines or choose another.")


def learned(scan: Scan, number: int) -> list[Picture]:
    return [picture for picture in scan.pictures if picture.concept == number and not picture.is_class]


def says(text: str, word: str) -> bool:
    """Whether the word stands in the text as the tokenizer parts it: "art" is not in "artwork", "x-" not in "x-,
    red".
    """
    text_words, sought = list(words(text)), list(words(word))
    return any(text_words[start:start + len(sought)] == sought for start in range(len(text_words) - len(sought) + 1))


def known_word(word: str, tokenizer: Callable[[str], list]) -> str:
    """A sentence about a word of a single token, which people type for something else; "" for any other."""
    if len(tokenizer(word)) != 1:
        return ""
    return (f'"{word}" is a word that the model knows already; prompts with it in its usual sense will show what is '
            "learned now. A made-up name avoids that.")


def unused_prompts(scan: Scan, config: GeneralConfig) -> Iterator[Problem]:
    """Prompts of concepts that are no template and that nothing is shown with: each picture has a caption of its own,
    and not every caption says the prompt's words.
    """
    if config.dataset.trigger_words_rate:
        return
    for number, concept in enumerate(config.concepts):
        pictures = learned(scan, number)
        if not concept.prompt or number in scan.templates or any(
            picture.caption_from != "file" for picture in pictures
        ):
            continue
        silent = [picture for picture in pictures if not says(picture.caption, concept.prompt)]
        if silent and len(silent) == len(pictures):
            yield Problem(silent[0].path, f'"concepts[{number}].prompt" is not used: every picture has a caption of '
                          "its own. Write [filewords] where the captions belong in it, or leave it empty.",
                          False, "prompt not used")
        elif silent:
            yield Problem(silent[0].path, f'{len(silent)} of {len(pictures)} captions do not say '
                          f'"{printable(concept.prompt)}", so their pictures do not teach these words; the first is '
                          f"that of {printable(silent[0].path.name)}.", False, "trigger words missing")


def named_embeddings(scan: Scan, config: GeneralConfig, names: Collection[str],
                     tokenizer: Callable[[str], list]) -> list[Problem]:
    """Embeddings that captions name, perhaps unawares: the encoder reads their vectors in the place of the word.

    names: of the embeddings that are there. tokenizer(text) -> ids; an embedding is found by its ids, as the WebUI
    does. The word that this very run teaches is meant.
    """
    return [Problem(path, f'Captions say "{printable(name)}", and an embedding has that name: its vectors '
                          "are read in the place of the word. If you mean the word, take the embedding out of its "
                          "folder, or write another word.", False, "embedding")
            for name, path in embeddings_in_captions(scan, config, names, tokenizer).items()]


def embeddings_in_captions(scan: Scan, config: GeneralConfig, names: Collection[str],
                           tokenizer: Callable[[str], list]) -> dict[str, Path]:
    """name -> the first picture whose caption names it, of the embeddings that captions name; see `named_embeddings`.
    """
    if not names:
        return {}
    captions: dict[tuple, Path] = {}
    for picture in scan.pictures:
        for line in scan.templates.get(picture.concept) or [FILEWORDS]:
            text = line.replace(NAME, config.word).replace(FILEWORDS, picture.caption)
            captions.setdefault(tuple(tokenizer(text)), picture.path)
    named = {}
    for name in sorted(set(names) - ({config.word} if scan.needs_name else set())):
        ids = tuple(tokenizer(name))
        paths = [path for caption, path in captions.items() if ids and contains(caption, ids)]
        if paths:
            named[name] = paths[0]
    return named


def contains(ids: tuple, part: tuple) -> bool:
    return any(ids[start : start + len(part)] == part for start in range(len(ids) - len(part) + 1))
