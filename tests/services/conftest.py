"""An app with a host that describes pictures, asked over HTTP."""

from contextlib import contextmanager

import pytest

from lib_sdtune.app import App
from tests.hosts import TinyHost, pictures
from tests.waiting import until

ROOT = "/sdtune/v1"


class DescribingHost(TinyHost):
    """A host whose interrogator says how many pictures it has described; `before_each` is called before each."""

    described, before_each = 0, staticmethod(lambda: None)

    def interrogator(self, name, options, on_wait):
        @contextmanager
        def lend():
            yield self.describe

        return lend()

    def describe(self, image):
        self.before_each()
        self.described += 1
        return f"seen {self.described}"


@pytest.fixture
def app(tmp_path):
    host = DescribingHost(tmp_path / "data")
    return App(lambda: host)


@pytest.fixture
def images(tmp_path):
    return pictures(tmp_path / "10_ron", count=5)


@pytest.fixture
def ask(client):
    """ask(path, body): the answer's JSON; wrong: the status of a refusal, whose sentence is returned."""
    def ask(path, body=None, method="post", wrong=0):
        answer = client.get(ROOT + path) if method == "get" else client.post(ROOT + path, json=body or {})
        assert answer.status_code == (wrong or 200), answer.text
        return answer.json()["detail"] if wrong else answer.json()

    return ask


@pytest.fixture
def ended(ask):
    """ended(path): what a service says when its task has ended."""
    def ended(path):
        answers = []

        def over():
            answers.append(ask(path, method="get"))
            return answers[-1]["work"]["state"] not in ("waiting", "working")

        until(over)
        return answers[-1]

    return ended
