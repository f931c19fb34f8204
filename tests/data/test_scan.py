import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image, ImageFile

from lib_sdtune.artefacts import metadata
from lib_sdtune.config import Config
from lib_sdtune.data import scan as scan_module
from lib_sdtune.data import text
from lib_sdtune.data.loader import Dataset
from lib_sdtune.data.picture import examine
from lib_sdtune.data.scan import scan
from lib_sdtune.errors import UserError
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.loss import LossConfig
from tests.data import awful


def fill(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def look(base, images="pics", progress=None, dataset=None, **concept):
    return scan([Concept(images=images, **concept)], dataset or DatasetConfig(), LossConfig(prior_loss_weight=0.5), base, progress)


PNG = awful.data(awful.scene())


def test_every_odd_picture_is_used_and_its_oddity_named(tmp_path):
    fill(tmp_path / "pics", awful.fine())
    result = look(tmp_path)
    assert {picture.path.name for picture in result.pictures} == set(awful.fine())
    assert not [problem for problem in result.problems if problem.fatal]
    named = {problem.path.name: problem.kind for problem in result.problems}
    assert named == {"rotated.jpg": "rotated", "print.jpg": "CMYK", "palette.png": "transparent", "grey alpha.png": "transparent",
                     "sixteen.png": "16 bit", "clear.png": "transparent", "moves.gif": "animated", "liar.png": "wrong extension"}
    sizes = {picture.path.name: (picture.width, picture.height) for picture in result.pictures}
    assert sizes["rotated.jpg"] == (40, 80)
    assert all(problem.path.name in problem.text for problem in result.problems)


def test_what_pillow_reads_by_content_is_a_picture_whatever_it_is_called(tmp_path):
    fill(tmp_path / "pics", awful.oddly_named() | {f"{name.partition('.')[0]}.txt": b"words" for name in awful.oddly_named()})
    result = look(tmp_path)
    assert {picture.path.name for picture in result.pictures} == set(awful.oddly_named())
    assert all(picture.caption == "words" for picture in result.pictures)
    assert {problem.path.name for problem in result.problems} == {"e.jpg_large", "f", "l.webp~"}  # told, and used
    assert {problem.kind for problem in result.problems} == {"wrong extension"}


@pytest.mark.parametrize("lenient", [False, True])
def test_every_broken_picture_is_named_and_none_ends_the_scan(tmp_path, monkeypatch, lenient):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)  # a host may have set it
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None if lenient else Image.MAX_IMAGE_PIXELS)
    fill(tmp_path / "pics", {name: content for name, (content, _) in awful.broken().items()} | {"good.png": PNG})
    result = look(tmp_path)
    assert [picture.path.name for picture in result.pictures] == ["good.png"]
    named = {problem.path.name: problem.kind for problem in result.problems if problem.fatal}
    expected = {name: kind for name, (_, kind) in awful.broken().items()}
    assert named == expected


def test_repeats_come_from_the_nearest_numbered_folder_and_the_setting_wins(tmp_path):
    fill(tmp_path / "train/10_ron cat", {"a.png": PNG})
    fill(tmp_path / "train/10_ron cat/more", {"b.png": PNG})
    fill(tmp_path / "train/3_hat", {"c.png": PNG})
    fill(tmp_path / "train/logs", {"d.png": PNG})
    result = look(tmp_path, "train")
    assert [(p.relative, p.repeats, p.caption, p.caption_from) for p in result.pictures] == [
        ("3_hat/c.png", 3, "hat", "folder"), ("10_ron cat/a.png", 10, "ron cat", "folder"),
        ("10_ron cat/more/b.png", 10, "ron cat", "folder")]
    assert [problem.kind for problem in result.problems] == ["left out"] and "logs" in result.problems[0].text
    assert {picture.repeats for picture in look(tmp_path, "train", repeats=2).pictures} == {2}
    assert [p.repeats for p in look(tmp_path, "train/3_hat").pictures] == [3]


def test_a_date_in_front_of_a_folder_is_no_repeats(tmp_path):
    fill(tmp_path / "20231105_ron", {"a.png": PNG})
    result = look(tmp_path, "20231105_ron")
    assert result.pictures[0].repeats == 1 and result.problems[0].kind == "repeats"


def test_nested_and_hidden_and_linked(tmp_path):
    pics = fill(tmp_path / "pics", {"b10.png": PNG, "b2.png": PNG, ".hidden.png": PNG, "._b2.png": b"resource fork"})
    fill(pics / "inner/deep", {"a.png": PNG})
    fill(pics / ".trash", {"x.png": PNG})
    outside = fill(tmp_path / "secret", {"s.png": PNG})
    os.symlink(outside / "s.png", pics / "link.png")
    os.symlink(outside, pics / "link")
    os.symlink(pics, pics / "inner/loop")
    result = look(tmp_path)
    assert [picture.relative for picture in result.pictures] == ["b2.png", "b10.png", "inner/deep/a.png"]
    assert [problem.kind for problem in result.problems] == ["link", "link"]


@pytest.mark.skipif(os.name == "nt", reason="Windows needs rights for links")
def test_links_that_lead_nowhere_are_named_and_cost_nothing(tmp_path):
    pics = fill(tmp_path / "pics", {"a.png": PNG})
    os.symlink(pics / "self.png", pics / "self.png")
    os.symlink(pics / "two.png", pics / "one.png")
    os.symlink(pics / "one.png", pics / "two.png")
    os.symlink(pics / "gone.png", pics / "dead.png")
    result = rescan(tmp_path)
    assert [picture.path.name for picture in result.pictures] == ["a.png"]
    sentences = [problem.text for problem in result.problems if problem.kind == "link"]
    assert len(sentences) == 4 and all("leads nowhere" in sentence for sentence in sentences)



def test_class_pictures(tmp_path):
    fill(tmp_path / "ron", {"a.png": PNG})
    fill(tmp_path / "reg/2_cat", {"x.png": PNG, "y.png": PNG, "y.txt": b"a black cat"})
    result = look(tmp_path, "ron", class_images="reg", class_prompt="a cat")
    assert [(p.is_class, p.weight, p.repeats, p.caption) for p in result.pictures] == [
        (False, 1.0, 1, "a"), (True, 0.5, 2, "a cat"), (True, 0.5, 2, "a black cat")]
    assert look(tmp_path, "ron", class_images="soon", num_class_images=5).pictures[-1].path.name == "a.png"


def test_a_truncated_caption_or_a_missing_one_costs_no_picture(tmp_path):
    fill(tmp_path / "pics", {"a.png": PNG, "a.txt": b"\n", "b.png": PNG, "b.caption": b"from b", "c.png": PNG, "c.TXT": b"\xe9"})
    result = look(tmp_path, prompt="fallback")
    assert [(p.caption, p.caption_from) for p in result.pictures] == [("fallback", "prompt"), ("from b", "file"), ("é", "file")]
    assert [problem.kind for problem in result.problems] == ["caption empty", "caption not UTF-8"]


@pytest.mark.parametrize("blank", [" , ,,", "\u200b", "\uff0c \u2060", "\ufeff\u00a0"])
def test_a_caption_without_a_visible_sign_is_empty(tmp_path, blank):
    rows = [{"file_name": "b.png", "text": blank}, {"file_name": "c.png", "text": "\U0001f98a"}]
    fill(tmp_path / "pics", {"a.png": PNG, "a.txt": f"{blank}\n".encode(), "b.png": PNG, "c.png": PNG,
                             "metadata.jsonl": "\n".join(map(json.dumps, rows)).encode()})
    result = look(tmp_path, prompt="a photo of zqx")
    assert [(p.caption, p.caption_from) for p in result.pictures] == [("a photo of zqx", "prompt"), ("a photo of zqx", "prompt"), ("\U0001f98a", "file")]
    assert "caption empty" in [problem.kind for problem in result.problems]
    fill(tmp_path / "pics", {"a.txt": f"{blank}\na hat".encode()})
    assert look(tmp_path).pictures[0].caption == "a hat"


def test_progress_counts_up_and_may_stop_the_scan(tmp_path):
    fill(tmp_path / "pics", {f"{n}.png": PNG for n in range(30)})
    seen = []

    def progress(done, total, text):
        seen.append((done, total))
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(tmp_path, progress=progress)
    assert seen == [(n, 30) for n in range(6)]


def test_tag_frequency_counts_each_picture_once(tmp_path):
    fill(tmp_path / "10_ron", {"a.png": PNG, "a.txt": b"ron, Red, red", "b.png": PNG, "b.txt": b"ron"})
    assert look(tmp_path, "10_ron").tag_frequency() == {"10_ron": {"ron": 2, "red": 1}}


@pytest.mark.parametrize("images, words", [
    ("", "is empty"), ("  ", "is empty"), ("nowhere/deep", "there is no folder"), ("a.png", "is a file"), ("bare", "holds no pictures"),
    ("bad", "none of its pictures can be read"), (os.path.abspath(os.sep), "root of a drive"), ("~", "your home folder"),
    ("webui", "the WebUI itself"), ("x\0y", "no path can have"), ("n" * 400, "can't be opened"), ("heic", "photo.heic")])
def test_wrong_folders_are_refused_in_one_sentence(tmp_path, images, words, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    fill(tmp_path / "home", {"a.png": PNG})
    fill(tmp_path, {"a.png": PNG})
    fill(tmp_path / "bare", {"a.doc": b"x"})
    fill(tmp_path / "bad", {"a.png": b"", "b.png": b"no"})
    fill(tmp_path / "webui", {"webui.py": b"", "a.png": PNG})
    fill(tmp_path / "webui/modules", {})
    fill(tmp_path / "heic", {"photo.heic": b"x"})
    with pytest.raises(UserError) as error:
        look(tmp_path, images)
    assert words in str(error.value) and "concepts[0].images" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("class_images, words", [("pics", "same folder"), ("pics/cat", "inside each other"), ("gone", "no folder"),
                                                 ("bare", "holds no pictures")])
def test_wrong_class_folders(tmp_path, class_images, words):
    fill(tmp_path / "pics", {"a.png": PNG})
    fill(tmp_path / "pics/cat", {"a.png": PNG})
    fill(tmp_path / "bare", {})
    with pytest.raises(UserError, match=words):
        look(tmp_path, class_images=class_images)


def test_a_path_in_quotes_as_windows_copies_it(tmp_path):
    fill(tmp_path / "pics", {"a.png": PNG})
    assert look(tmp_path, f'"{tmp_path / "pics"}"').pictures


def test_templates_take_the_words_of_the_picture(tmp_path):
    fill(tmp_path / "pics", {"01-red hat.png": PNG})
    (tmp_path / "subject.txt").write_text("a photo of [name]\n\na picture of [name], [filewords]\n")
    result = look(tmp_path, prompt="subject.txt")
    assert result.templates == {0: ["a photo of [name]", "a picture of [name], [filewords]"]}
    assert result.pictures[0].caption == "red hat"
    with pytest.raises(UserError, match="no prompt template"):
        look(tmp_path, prompt="gone.txt")


def test_names_that_are_no_text(tmp_path):
    pics = fill(tmp_path / "pics", {"a.png": PNG})
    try:
        Path(os.fsdecode(os.fsencode(pics) + b"/\xff\xfe.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system keeps names as text")
    result = look(tmp_path)
    assert len(result.problems) == 1
    result.problems[0].text.encode("utf-8")


def test_a_caption_that_cannot_be_read_is_told_and_the_picture_has_the_prompt(tmp_path, monkeypatch):
    pics, read = fill(tmp_path / "pics", {"a.png": PNG, "a.txt": b"own words", "b.png": PNG, "b.txt": b"own words"}), text.read

    def refuse(path, *rest):
        if path == pics / "a.txt":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *rest)

    monkeypatch.setattr(text, "read", refuse)
    result = look(tmp_path, prompt="fallback")
    assert [(p.caption, p.caption_from) for p in result.pictures] == [("fallback", "prompt"), ("own words", "file")]
    (problem,) = result.problems
    assert problem.text.startswith("The caption a.txt can't be read") and not problem.fatal, "the picture is used"


def test_captions_listed_in_metadata_jsonl(tmp_path):
    pics = fill(tmp_path / "pics", {"a.png": PNG, "b.png": PNG, "b.txt": b"own words", "c.png": PNG})
    fill(pics / "deep", {"d.png": PNG})
    rows = ['{"file_name": "a.png", "text": "a red fox"}', '{"file_name": "b.png", "text": "listed"}', "broken", "[]",
            '{"file_name": "deep/d.png", "caption": "from above"}', "{}"]
    (pics / "metadata.jsonl").write_text("\n".join(rows))
    result = look(tmp_path, prompt="fallback")
    assert [(p.caption, p.caption_from) for p in result.pictures] == [
        ("a red fox", "file"), ("own words", "file"), ("fallback", "prompt"), ("from above", "file")]
    assert [(problem.kind, problem.fatal) for problem in result.problems] == [("caption unreadable", False), ("caption not used", False)]
    assert result.problems[0].text.endswith("which are ignored: 3.") and "b.png" in result.problems[1].text


@pytest.mark.parametrize("name, content", [
    ("metadata.csv", "file_name,text\na.png,a red fox\ndeep/d.png,from above\n"),
    ("captions.json", '{"a.png": "a red fox", "d": {"caption": "from above"}}'),
    ("meta_cap.json", '{"/elsewhere/pics/a": {"caption": "a red fox"}, "/elsewhere/pics/deep/d": {"tags": "from above"}}'),
    ("metadata.json", '[{"file_name": "A.PNG", "text": ["a red fox", "a fox"]}, {"image": "deep\\\\d.png", "caption": "from above"}]'),
    ("captions.jsonl", '{"file_name": "pics/a.png", "text": "a red fox"}\n{"file_name": "pics/deep/d.png", "prompt": "from above"}'),
])
def test_every_list_of_captions_is_read_by_whatever_it_calls_a_picture(tmp_path, name, content):
    pics = fill(tmp_path / "pics", {"a.png": PNG, name: content.encode()})
    fill(pics / "deep", {"d.png": PNG})
    result = look(tmp_path)
    assert [picture.caption for picture in result.pictures] == ["a red fox", "from above"]
    assert [problem.kind for problem in result.problems] == (["caption lines"] if "[\"a" in content else [])


def test_listed_captions_that_find_no_picture_are_named(tmp_path):
    fill(tmp_path / "pics", {"a.png": PNG, "metadata.csv": b"file_name,text\na.png,one\ngone.png,two\nlost.png,three\n"})
    (problem,) = look(tmp_path).problems
    assert problem.kind == "caption not used" and "2 of the captions" in problem.text and "gone.png" in problem.text


@pytest.mark.parametrize("content", ["", "[", "3", "a,b\n1,2", '{"x": 3}'])
def test_a_list_that_is_none_loses_no_picture(tmp_path, content):
    fill(tmp_path / "pics", {"a.png": PNG, "metadata.json": content.encode()})
    result = look(tmp_path)
    assert len(result.pictures) == 1 and [problem.kind for problem in result.problems] == ["caption unreadable"]


def test_what_is_neither_picture_nor_caption_is_named_once(tmp_path):
    fill(tmp_path / "pics", {"a.png": PNG, "a.npz": b"x", "notes.md": b"x", "model.bin": b"\x89PNG", "b.txt": b"b", "c.psd": b"8BPS",
                             "a.txt": b"a", "a.txt.bak": b"old", "manifest.json": b"{}"})
    named = {problem.kind: problem.text for problem in look(tmp_path).problems}
    assert named.keys() == {"not used", "caption orphan", "not read"}
    assert all(name in named["not used"] for name in ("a.npz", "notes.md", "model.bin")) and "bak" not in named["not used"]


def test_the_other_caption_of_a_picture_is_named(tmp_path):
    fill(tmp_path / "pics", {"a.png": PNG, "a.txt": b"read", "a.caption": b"not read"})
    result = look(tmp_path)
    assert result.pictures[0].caption == "read"
    assert [(problem.kind, problem.path.name) for problem in result.problems] == [("caption not used", "a.caption")]


def test_captions_with_an_ending_of_their_own_are_captions(tmp_path):
    fill(tmp_path / "pics", {"a.png": PNG, "a.tags": b"red", "b.tags": b"blue"})
    result = look(tmp_path, dataset=DatasetConfig(caption_extension=".tags"))
    assert result.pictures[0].caption == "red" and [problem.kind for problem in result.problems] == ["caption orphan"]


@pytest.mark.parametrize("name, repeats, words", [("2024_holiday", 1, "looks like a year"), ("1999_x", 1, "looks like a year"),
                                                  ("500_ron", 500, "count 500 times"), ("200_ron", 200, "")])
def test_a_number_that_nobody_means_is_asked_about(tmp_path, name, repeats, words):
    fill(tmp_path / name, {"a.png": PNG})
    result = look(tmp_path, name)
    assert result.pictures[0].repeats == repeats
    assert [words in problem.text and problem.kind == "repeats" for problem in result.problems] == ([True] if words else [])


def test_a_link_has_the_repeats_and_words_of_its_own_name(tmp_path):
    fill(tmp_path / "there", {"a.png": PNG})
    os.symlink(tmp_path / "there", tmp_path / "10_ron cat")
    picture = look(tmp_path, "10_ron cat").pictures[0]
    assert (picture.repeats, picture.caption, picture.folder) == (10, "ron cat", "10_ron cat")


def test_folders_of_one_name_are_told_apart(tmp_path):
    for kind in ("cats", "dogs"):
        fill(tmp_path / "all" / kind / "front", {"a.png": PNG, "a.txt": kind.encode()})
    fill(tmp_path / "all/birds", {"b.png": PNG, "b.txt": b"bird"})
    assert look(tmp_path, "all").tag_frequency() == {"birds": {"bird": 1}, "cats/front": {"cats": 1}, "dogs/front": {"dogs": 1}}


def test_a_folder_that_is_used_in_two_ways_is_counted_for_each(tmp_path):
    fill(tmp_path / "10_ron", {"a.png": PNG, "a.txt": "ron\uff0cred".encode(), "b.png": awful.data(awful.scene(seed=5))})
    concepts = [Concept("10_ron"), Concept("10_ron", repeats=3), Concept("10_ron", repeats=10)]
    result = scan(concepts, DatasetConfig(), LossConfig(), tmp_path)
    described = metadata.pictures(SimpleNamespace(scan=result, dataset=Dataset(result, Config("ron", concepts))))
    assert described["ss_dataset_dirs"] == {"10_ron": {"n_repeats": 10, "img_count": 4}, "10_ron (2)": {"n_repeats": 3, "img_count": 2}}
    assert described["ss_num_train_images"] == sum(entry["n_repeats"] * entry["img_count"] for entry in described["ss_dataset_dirs"].values())
    assert described["ss_tag_frequency"]["10_ron"] == {"ron": 4, "red": 2}


def test_captions_without_a_picture_are_named(tmp_path):
    fill(tmp_path / "pics", {"a.png": PNG, "a.txt": b"a", "b.txt": b"b", "bad.png": b"", "bad.txt": b"x", "notes.md": b"x"})
    orphans = [problem.path.name for problem in look(tmp_path).problems if problem.kind == "caption orphan"]
    assert orphans == ["b.txt"]


# what an earlier scan knows

@pytest.fixture
def opened(monkeypatch):
    """The names of the files that were read to their last byte."""
    names = []

    def counted(path, appearance=False):
        names.append(path.name)
        return examine(path, appearance)

    monkeypatch.setattr(scan_module, "examine", counted)
    return names


def age(path, seconds=60):
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - seconds * 10**9))


def rescan(base, earlier=None, appearance=False):
    return scan([Concept("pics")], DatasetConfig(), LossConfig(), base, appearance=appearance, earlier=earlier)


@pytest.fixture
def old(tmp_path):
    path = fill(tmp_path / "pics", {"old.png": PNG}) / "old.png"
    age(path)
    return path


def test_a_picture_that_stays_is_read_once(tmp_path, old, opened):
    first = rescan(tmp_path)
    assert rescan(tmp_path, rescan(tmp_path, first)).pictures == first.pictures and opened == ["old.png"]


def test_an_appearance_serves_who_needs_none_and_is_taken_where_there_was_none_yet(tmp_path, old, opened):
    plain = rescan(tmp_path)
    full = rescan(tmp_path, plain, appearance=True)
    assert plain.pictures[0].appearance is None and full.pictures[0].appearance and opened == ["old.png"] * 2
    rescan(tmp_path, full)
    assert rescan(tmp_path, rescan(tmp_path, full), appearance=True).pictures[0].appearance and opened == ["old.png"] * 2


def test_a_changed_picture_is_read_again_and_a_new_one_too(tmp_path, old, opened):
    before = rescan(tmp_path)
    old.write_bytes(awful.data(awful.scene(seed=1)))
    age(old, 30)
    fill(tmp_path / "pics", {"new.png": PNG})
    after = rescan(tmp_path, before)
    assert after.pictures[1].content != before.pictures[0].content and opened[:1] == ["old.png"] and sorted(opened[1:]) == ["new.png", "old.png"]  # two threads read


def test_changed_captions_are_read_although_their_pictures_are_not(tmp_path, old, opened):
    before = rescan(tmp_path)
    old.with_suffix(".txt").write_text("new words")
    assert rescan(tmp_path, before).pictures[0].caption == "new words" and opened == ["old.png"]


def test_what_was_written_a_moment_ago_is_not_trusted(tmp_path, old, opened):
    age(old, -60)
    rescan(tmp_path, rescan(tmp_path))
    assert opened == ["old.png"] * 2


def test_a_broken_picture_is_told_each_time(tmp_path, old):
    age(fill(tmp_path / "pics", {"broken.png": b"no picture"}) / "broken.png")
    first = rescan(tmp_path)
    assert [problem.kind for problem in rescan(tmp_path, first).problems] == ["not a picture"]


@pytest.mark.parametrize("extension, name", [("cap", "a.cap"), (".CAP", "a.cap"), (" .cap ", "a.CAP"), (".wd14.txt", "a.wd14.txt"),
                                             ("wd14.txt", "a.WD14.txt")])
def test_captions_are_found_however_their_ending_is_written(tmp_path, extension, name):
    fill(tmp_path / "pics", {"a.png": PNG, name: b"a hat"})
    result = look(tmp_path, dataset=DatasetConfig(caption_extension=extension))
    assert [(picture.caption, picture.caption_from) for picture in result.pictures] == [("a hat", "file")] and not result.problems
