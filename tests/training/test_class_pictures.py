"""Class pictures: existing ones first, missing ones drawn by the host, whatever interrupts it."""

import pytest
from PIL import Image

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.training import class_pictures
from tests.hosts import TinyHost, pictures, settings, train


def with_class(tmp_path, count=4, folder="class", **changes):
    images = tmp_path / "10_ron"
    images = images if images.exists() else pictures(images)
    for text in images.glob("*.txt"):
        text.unlink()
    concept = {"images": str(images), "prompt": "a photo of ron cat", "class_images": str(tmp_path / folder),
               "class_prompt": "a photo of a cat", "num_class_images": count}
    return settings(images, concepts=[concept], **{"train": {"max_train_steps": 1}, **changes})


@pytest.mark.parametrize("method", ["lora", "dreambooth", "hypernetwork"])
def test_methods_learn_beside_pictures_that_the_model_drew_itself(host, tmp_path, method):
    host.model.folder = host.folder
    control = train(host, with_class(tmp_path, method=method))
    drawn = sorted((tmp_path / "class").iterdir())
    assert control.state == "finished" and [path.name for path in drawn] == [f"class-{i:05d}.png" for i in range(4)]
    assert [(r.prompt, r.width, r.height) for r in host.asked[:4]] == [("a photo of a cat", 128, 128)] * 4
    assert len({request.seed for request in host.asked[:4]}) == 4
    assert Image.open(drawn[0]).info["parameters"].startswith("a photo of a cat")


def test_an_embedding_draws_none_because_they_do_not_say_its_word(host, tmp_path):
    control = train(host, with_class(tmp_path, method="textual_inversion"))
    assert control.state == "finished" and not host.asked and not (tmp_path / "class").exists()


def test_existing_pictures_count_and_only_the_rest_is_drawn(host, tmp_path):
    config = Config.from_dict(with_class(tmp_path))
    pictures(tmp_path / "class", count=3)
    class_pictures.draw(config, host, lambda *progress: None)
    assert len(host.asked) == 1 and (tmp_path / "class" / "class-00000.png").exists()
    class_pictures.draw(config, host, lambda *progress: None)
    assert len(host.asked) == 1


def test_pictures_that_were_drawn_of_another_class_are_named(host, tmp_path, caplog):
    config = with_class(tmp_path, count=2)
    config["concepts"][0]["class_prompt"] += " "
    for _ in range(2):
        class_pictures.draw(Config.from_dict(config), host, lambda *progress: None)
    assert not caplog.text
    config["concepts"][0] |= {"class_prompt": "a photo of a dog", "num_class_images": 3}
    class_pictures.draw(Config.from_dict(config), host, lambda *progress: None)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1 and "2 of the pictures" in warnings[0] and "class-00000.png" in warnings[0]
    assert "'a photo of a cat'" in warnings[0] and "'a photo of a dog'" in warnings[0]
    caplog.clear()
    (tmp_path / "class" / "class-00000.txt").write_text("a photo of a cat")  # which says what it shows
    (tmp_path / "class" / "class-00001.png").unlink()
    class_pictures.draw(Config.from_dict(config), host, lambda *progress: None)
    assert not caplog.text


class TellingHost(TinyHost):
    """One whose pictures say by what and in which size they were drawn, as the WebUI's do."""

    name = "anime, v2"

    def about(self, model_settings=None):
        return {"model": self.name}

    def generate(self, requests):
        for request, image in zip(requests, super().generate(requests), strict=True):
            image.info["parameters"] += f", Size: {request.width}x{request.height}, Model: {self.name.replace(',', '')}"
            yield image


def test_pictures_of_another_checkpoint_or_size_are_named(tmp_path, caplog):
    host, warnings = TellingHost(tmp_path / "data"), []
    for name, resolution in (("anime, v2", 128), ("anime, v2", 128), ("photo", 128), ("anime, v2", 192)):
        host.name = name
        caplog.clear()
        changed = with_class(tmp_path, count=2, dataset={"resolution": resolution})
        class_pictures.draw(Config.from_dict(changed), host, lambda *progress: None)
        warnings.append([record.getMessage() for record in caplog.records])
    assert not warnings[0] and not warnings[1] and [len(sentences) for sentences in warnings[2:]] == [1, 1]
    assert "2 of the pictures" in warnings[2][0] and "drawn by the checkpoint anime v2 (class-00000.png first), and photo is trained" in warnings[2][0]
    assert "2 of the pictures" in warnings[3][0] and "drawn in 128x128 (class-00000.png first), and would be drawn in 192x192" in warnings[3][0]


def test_an_interrupted_set_goes_on_with_the_pictures_that_it_lacked(tmp_path):
    config, seen = Config.from_dict(with_class(tmp_path)), []

    def stop(done, total, text):
        seen.append((done, total, text))
        if done == 2:
            raise InterruptedError

    hosts = [TinyHost(tmp_path / str(i)) for i in range(3)]
    with pytest.raises(InterruptedError):
        class_pictures.draw(config, hosts[0], stop)
    assert seen[-1] == (2, 4, "drawing class pictures") and len(list((tmp_path / "class").iterdir())) == 2
    class_pictures.draw(config, hosts[1], lambda *progress: None)
    class_pictures.draw(Config.from_dict(with_class(tmp_path, folder="whole")), hosts[2], lambda *progress: None)
    assert [r.seed for r in hosts[2].asked] == [r.seed for r in hosts[0].asked[:2]] + [r.seed for r in hosts[1].asked]


def test_a_stop_while_drawing_ends_the_run_and_keeps_the_pictures(host, tmp_path):
    def stop_at_two(control):
        if control.state == "preparing" and "class pictures: 2" in control.message:
            control.request("stop")

    control = train(host, with_class(tmp_path), watch=stop_at_two)
    assert control.state == "stopped" and len(list((tmp_path / "class").iterdir())) == 2


def test_a_class_folder_inside_the_pictures_is_refused_before_anything_is_drawn(host, tmp_path):
    for folder in ("10_ron/class", "10_ron", "10_ron/../10_ron/deep/class"):
        with pytest.raises(UserError, match="class_images"):
            train(host, with_class(tmp_path, folder=folder))
    with pytest.raises(UserError, match="lie inside each other"):
        train(host, with_class(tmp_path, folder="."))
    assert not host.asked


def test_no_class_pictures_and_none_to_be_drawn_is_refused_with_what_to_do(host, tmp_path):
    (tmp_path / "class").mkdir()
    with pytest.raises(UserError, match="num_class_images"):
        train(host, with_class(tmp_path, count=0))


def test_two_concepts_may_share_a_class(host, tmp_path):
    data = with_class(tmp_path)
    pictures(tmp_path / "5_mia")
    data["concepts"].append(data["concepts"][0] | {"images": str(tmp_path / "5_mia"), "prompt": "a photo of mia cat"})
    class_pictures.draw(Config.from_dict(data), host, lambda *progress: None)
    assert len(host.asked) == 4
