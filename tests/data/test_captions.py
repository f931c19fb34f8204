from pathlib import Path

import pytest

from lib_sdtune.data import captions, metadata, text, variation
from lib_sdtune.data.example import PictureFile
from lib_sdtune.sections.dataset import DatasetConfig


@pytest.mark.parametrize("content, encoding, guessed", [
    ("a red fox", "utf-8", "utf-8"), ("赤い狐、ネコ", "utf-8-sig", "utf-8"), ("赤い狐", "utf-16", "utf-16"),
    ("赤い狐とネコ", "cp932", "cp932"), ("ﾈｺ, ロン", "cp932", "cp932"), ("红色的狐狸", "gb18030", "gb18030"),
    ("café, naïve girl", "cp1252", "cp1252"), ("über“quoted”", "cp1252", "cp1252"),
    ("一只猫，“红色”的沙发…", "gbk", "gb18030"), ("红色—沙发", "gbk", "gb18030"), ("рыжий кот на диване", "cp1251", "cp1251"),
    ("Кот, cat, ещё один", "cp1251", "cp1251"), ("빨간 고양이", "cp949", "cp949"), ("ron, 소파 위의 고양이", "cp949", "cp949"),
    ("사과, cat", "cp949", "cp949"), ("坐着的猫", "gb18030", "gb18030"), ("年轻女孩站在海边", "gb18030", "gb18030"),
    ("à la forêt, été", "cp1252", "cp1252"), ("Größe, Mädchen", "cp1252", "cp1252")])
def test_encodings(tmp_path, content, encoding, guessed):
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode(encoding))
    assert text.read(path) == (content, guessed)


def test_any_bytes_can_be_read(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(range(256)) * 3)
    assert text.read(path)[1] in ("latin-1", "cp1252")
    path.write_bytes("é".encode() * 100_000)  # longer than what is read, and cut inside a letter
    assert text.read(path)[0].strip("é") == ""


@pytest.mark.parametrize("bom, encoding", [(b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16")])
def test_bytes_that_are_no_text_behind_a_mark_of_it_are_a_guess(tmp_path, bom, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes(bom + "cat".encode(encoding).removeprefix(b"\xff\xfe") + b"\x00\xd8\xe9")
    assert text.read(path)[1] == f"damaged {encoding}" and text.is_guess(text.read(path)[1])


def test_a_caption_file_that_is_longer_than_what_is_read_is_told(tmp_path):
    path = tmp_path / "0.txt"
    path.write_text("a cat\n" * 20_000)
    problems = []
    file = PictureFile(tmp_path / "0.png", "0.png", None, "", {".txt": path})
    assert captions.from_file(file, ".txt", problems) == "a cat"
    assert "caption too long" in [problem.kind for problem in problems]
    assert any("64 KiB" in problem.text for problem in problems)


def test_a_list_of_captions_that_is_not_utf_8_is_told(tmp_path):
    (tmp_path / "metadata.csv").write_bytes("file_name,text\n0.png,рыжий кот\n".encode("cp1251"))
    problems = []
    assert metadata.read(tmp_path / "metadata.csv", "", problems).rows == [("0.png", "рыжий кот")]
    assert [problem.kind for problem in problems] == ["caption not UTF-8"] and "cp1251" in problems[0].text


@pytest.mark.parametrize("name, words", [("0012-a red fox.png", "a red fox"), ("12 - ron_cat.jpg", "ron cat"), ("00001.png", ""),
                                         ("3d render.png", "3d render"), ("日本語.png", "日本語"), ("---.png", ""),
                                         ("1girl, solo.png", "1girl, solo"), ("2024-05-01 beach.png", "beach"), ("007ron.png", "ron"),
                                         ("12_1girl.png", "1girl"), ("80s car.png", "80s car"), ("3 (copy).png", "(copy)")])
def test_words_of_a_file_name(name, words):
    assert captions.from_name(Path(name)) == words


def test_nothing_varies_unless_asked():
    assert variation.vary("b, a ,, c", DatasetConfig(), 1, 0, 0) == "b, a ,, c"


def test_shuffle_keeps_the_first_and_loses_none():
    dataset = DatasetConfig(shuffle_caption=True, keep_tokens=2)
    captions = {variation.vary("ron, cat, a, b, c, d", dataset, 1, 0, occurrence) for occurrence in range(50)}
    assert len(captions) > 10
    for caption in captions:
        assert caption.startswith("ron, cat, ") and sorted(caption.split(", ")) == ["a", "b", "c", "cat", "d", "ron"]


def test_shuffle_is_a_function_of_seed_picture_and_showing():
    dataset = DatasetConfig(shuffle_caption=True)
    words = ", ".join("abcdefghijklmnop")
    first = variation.vary(words, dataset, 1, 2, 3)
    assert first == variation.vary(words, dataset, 1, 2, 3)
    others = [variation.vary(words, dataset, *numbers) for numbers in ((2, 2, 3), (1, 3, 3), (1, 2, 4))]
    assert len({first, *others}) == 4


def test_dropout_rates_are_kept():
    caption = [variation.vary("a, b", DatasetConfig(caption_dropout_rate=0.25), 1, 0, n) for n in range(2000)]
    assert abs(caption.count("") / 2000 - 0.25) < 0.04
    tags = [variation.vary("keep, a", DatasetConfig(caption_tag_dropout_rate=0.25, keep_tokens=1), 1, 0, n) for n in range(2000)]
    assert set(tags) == {"keep, a", "keep"} and abs(tags.count("keep") / 2000 - 0.25) < 0.04


LINES = ["a photo of [name], [filewords]", "a picture of [filewords], in the style of [name]"]


def test_dropout_leaves_a_template_s_whole_line_out():
    dataset = DatasetConfig(caption_dropout_rate=0.3)
    captions = [variation.from_template(LINES, "ron", "red", dataset, 1, 0, showing) for showing in range(500)]
    assert 100 < captions.count("") < 200 and {line for line in captions if line} == {
        "a photo of ron, red", "a picture of red, in the style of ron"}


def test_where_the_line_must_say_the_name_only_the_picture_s_words_are_dropped():
    dataset = DatasetConfig(caption_dropout_rate=1.0)
    captions = {variation.from_template(LINES, "ron", variation.vary("red", dataset, 1, 0, showing), dataset, 1, 0, showing, needs_name=True)
            for showing in range(50)}
    assert captions == {"a photo of ron", "a picture of, in the style of ron"}


def test_a_caption_and_its_template_are_dropped_together():
    dataset = DatasetConfig(caption_dropout_rate=0.5)
    for showing in range(50):
        assert variation.dropped(dataset, 3, 1, showing) == (variation.vary("red", dataset, 3, 1, showing) == "")


@pytest.mark.parametrize("prompt, words", [
    ("a photo of ron cat", "a photo of ron cat"), ("photo of ron, [filewords]", "photo of ron"), ("[filewords], by [name]", "by ron"),
    ("[filewords]", ""), ("subject.txt", "ron"), ("style_filewords.txt", "ron"), ("mine.txt", "ron cat"), ("gone.txt", "ron"), ("", "")])
def test_what_a_user_types_is_the_prompt_without_the_places_that_pictures_fill(tmp_path, prompt, words):
    (tmp_path / "mine.txt").write_text("a photo of ron cat, [filewords]\na rendering with ron cat in it, [filewords]\n")
    assert captions.trigger_words(prompt, "ron", [tmp_path]) == words
