"""Whatever our code tells a person in any test, a page can say in another language: every sentence is in the list."""

import sys
from pathlib import Path

import pytest

from lib_sdtune import sentences
from lib_sdtune.data.problem import Problem
from lib_sdtune.errors import Sentence
from lib_sdtune.settings_import.notes import Notes

PACKAGE = Path(sentences.__file__).parent
ON_A_CONSOLE = ("cli", "__main__.py")  # of the package, or the tests and tools beside it


@pytest.fixture(autouse=True, scope="session")
def heard():
    """The errors, problems of data sets and remarks on imported settings that our code made since the last look, as
    texts.
    """
    texts = []

    def remark(self, setting, what, original=Notes.remark):
        texts.append(what)
        return original(self, setting, what)

    def listening(original):
        def initialise(self, *arguments, **named):
            original(self, *arguments, **named)
            text = self.text if isinstance(self, Problem) else str(self)
            if said_on_a_page(sys._getframe(1)):
                texts.append(text)
        return initialise

    with pytest.MonkeyPatch.context() as patch:
        for kind in (Sentence, Problem):
            patch.setattr(kind, "__init__", listening(kind.__init__))
        patch.setattr(Notes, "remark", remark)
        yield texts


def said_on_a_page(frame):
    """Whether the nearest code of ours that made the text is of a room whose words reach pages."""
    path = Path(frame.f_code.co_filename)
    if frame.f_code.co_name == "__init__" and path.parent == PACKAGE / "data":  # of a kind of error that adds words
        path = Path(frame.f_back.f_code.co_filename)
    return path.is_relative_to(PACKAGE) and path.relative_to(PACKAGE).parts[0] not in ON_A_CONSOLE


@pytest.fixture(autouse=True)
def every_sentence_is_in_the_list(heard):
    heard.clear()
    yield
    silent = {part for text in heard if not sentences.recognised(text)
              for part in sentences.PARTS.split(text) if not sentences.recognised(part)}
    assert not silent, "tools/sentences.py does not see where these are written; mark what they are made of with `phrase`"
