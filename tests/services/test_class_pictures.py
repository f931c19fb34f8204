"""Class pictures through the API: drawn in the queue, or refused before."""

import pytest

from tests.hosts import settings
from tests.waiting import until


def test_class_pictures_are_drawn_in_the_queue(ask, images, tmp_path, app, ended):
    config = settings(images)
    config["concepts"][0] |= {"class_images": str(tmp_path / "class"), "class_prompt": "a cat", "num_class_images": 3}
    ask("/class-pictures", config | {"name": ""})
    assert ended("/class-pictures")["work"] == {"state": "done", "done": 3, "total": 3, "text": "drawing class pictures", "message": ""}
    assert len(list((tmp_path / "class").glob("*.png"))) == 3
    assert "nothing is missing" in ask("/class-pictures", config, wrong=422)
    assert app.jobs.runs() == []


@pytest.mark.parametrize(("change", "named"), [({"num_class_images": 0}, "num_class_images"), ({"class_prompt": " "}, "class_prompt"),
                                               ({"class_images": ""}, "class_images")])
def test_class_pictures_that_cannot_be_are_refused(ask, images, tmp_path, change, named):
    config = settings(images)
    config["concepts"][0] |= {"class_images": str(tmp_path / "class"), "class_prompt": "a cat", "num_class_images": 3} | change
    assert named in ask("/class-pictures", config, wrong=422)


def test_a_failing_sampler_is_told_and_the_queue_goes_on(ask, images, tmp_path, app, monkeypatch, ended):
    monkeypatch.setattr(app.host, "generate", lambda requests: iter(()), raising=False)
    config = settings(images, train={"max_train_steps": 1})
    with_class = config | {"concepts": [config["concepts"][0] | {"class_images": str(tmp_path / "class"), "class_prompt": "a cat", "num_class_images": 3}]}
    ask("/class-pictures", with_class)
    assert "interrupted" in ended("/class-pictures")["work"]["message"]
    app.submit(config)
    until(lambda: app.jobs.status("ron")["state"] == "finished")
