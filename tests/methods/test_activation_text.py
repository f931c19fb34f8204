"""What a user types to get what was trained, as cards, metadata, the tab and grids say it."""

from types import SimpleNamespace

import pytest

from lib_sdtune.config import Config
from lib_sdtune.evaluation import settings
from lib_sdtune.jobs import Jobs
from lib_sdtune.methods import registry


@pytest.mark.parametrize("method", registry.names())
@pytest.mark.parametrize("prompt, words", [("photo of ron, [filewords]", "photo of ron"), ("subject.txt", "ron")])
def test_a_template_is_not_what_a_user_types(method, prompt, words, tmp_path):
    config = Config.from_dict({"name": "ron", "method": method, "concepts": [{"images": "x", "prompt": prompt}]})
    unfinished = object.__new__(registry[method])
    unfinished.config, unfinished.model = config, SimpleNamespace(folder=None)
    assert unfinished.activation_text() == ("ron" if method == "textual_inversion" else words)
    assert settings.lines(settings.read({}), config)[0] == words
    jobs = Jobs(SimpleNamespace(host=SimpleNamespace(folder=lambda kind: tmp_path), queue=None))
    assert jobs.trigger(config.to_dict()) == words
