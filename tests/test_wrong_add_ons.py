"""Wrong input for embeddings and hypernetworks through the real command line: exit code 2, one sentence, nothing written."""

import pytest
import torch
from safetensors.torch import save_file

from lib_sdtune.app import App
from lib_sdtune.artefacts import hypernetwork
from lib_sdtune.errors import UserError
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.networks.hypernetwork import Hypernetwork, Structure
from tests.test_wrong_input import place, refused, tree, write  # noqa: F401 - place is a fixture


class Bomb:
    def __reduce__(self):
        return print, ("code ran",)


@pytest.fixture
def shelves(place):  # noqa: F811
    """The data folder with an embedding and a hypernetwork of another family, and one of each with code in it."""
    embeddings, hypernetworks = place / "data" / "embeddings", place / "data" / "models" / "hypernetworks"
    embeddings.mkdir(parents=True)
    save_file({"emb_params": torch.zeros(2, 1024)}, embeddings / "sd2.safetensors")
    torch.save({"string_to_param": {"*": torch.zeros(1, 64)}, "extra": Bomb()}, embeddings / "evil.pt")
    hypernetwork.write(hypernetworks / "sd2.pt", Hypernetwork([1024], Structure()), hypernetwork.Facts("sd2"))
    torch.save({64: Bomb()}, hypernetworks / "evil.pt")
    return place


TI, HN = {"method": "textual_inversion"}, {"method": "hypernetwork"}


@pytest.mark.parametrize(("changes", "words"), [
    (TI | {"name": ""}, ['"name" is empty']),
    (HN | {"name": "a/b"}, ['"name"', "a/b"]),
    (TI | {"textual_inversion": {"num_vectors_per_token": 0}}, ["num_vectors_per_token", "smallest value is 1"]),
    (TI | {"textual_inversion": {"num_vectors_per_token": 76}}, ["num_vectors_per_token", "largest value is 75"]),
    (TI | {"concepts": [{"images": "pictures", "prompt": "subjects.txt"}]}, ["subjects.txt", "did you mean 'subject.txt'"]),
    (TI | {"concepts": [{"images": "pictures", "prompt": "style_filewords.txt"}]}, ["[filewords]", "0.png has none", "0.txt"]),
    (HN | {"concepts": [{"images": "pictures", "prompt": "a [filewords]"}]}, ["[filewords]", "0.png has none"]),
    (TI | {"concepts": [{"images": "pictures", "prompt": "a photo"}]}, ['never say "ron"', "subject.txt"]),
    (TI | {"textual_inversion": {"init_embedding": "sd2"}}, ["sd2.safetensors", "1024", "another model family"]),
    (TI | {"textual_inversion": {"init_embedding": "evil"}}, ["evil.pt", "perhaps code"]),
    (HN | {"hypernetwork": {"init_hypernetwork": "sd2"}}, ["sd2.pt", "1024"]),
    (HN | {"hypernetwork": {"init_hypernetwork": "evil"}}, ["evil.pt", "perhaps code"]),
    (HN | {"hypernetwork": {"enable_sizes": [768]}}, ["enable_sizes", "768"]),
])
def test_is_refused(shelves, capsys, changes, words):
    write(shelves, changes)
    error = refused(shelves, capsys)
    assert all(word in error for word in words), error
    assert "code ran" not in error


@pytest.mark.parametrize("changes", [TI | {"textual_inversion": {"init_embedding": "sd2"}}, HN | {"hypernetwork": {"init_hypernetwork": "sd2"}},
                                     HN | {"hypernetwork": {"enable_sizes": [768]}}], ids=str)
def test_another_models_sizes_are_refused_before_a_run_is_queued(shelves, monkeypatch, changes):
    monkeypatch.chdir(shelves)
    before = tree(shelves)
    settings = {"name": "ron", "concepts": [{"images": "pictures", "prompt": "a photo of [name]"}], **changes}
    with pytest.raises(UserError, match=r"1024|768"):
        App(lambda: EmbeddedHost(shelves / "data")).submit(settings)
    assert tree(shelves) == before
