import importlib.util
import json
import os

import pytest

from lib_sdtune.errors import UserError
from lib_sdtune.ldm import tokenizer as tokenizers
from lib_sdtune.ldm.tokenizer import words
from tests.models import tokenizer

TOK = tokenizer()


def spelled(text):
    names = {i: token for token, i in TOK.vocab.items()}
    return [names[i] for i in TOK(text)]


@pytest.mark.parametrize(("text", "expected"), [
    ("A  Photo,\n of it's", ["a", "photo", ",", "of", "it", "'s"]),
    ("1girl, blue_hair 123", ["1", "girl", ",", "blue", "_", "hair", "1", "2", "3"]),
    ("(masterpiece:1.2)!!", ["(", "masterpiece", ":", "1", ".", "2", ")!!"]),
    ("we'll 'ready rock'n'roll", ["we", "'ll", "'re", "ady", "rock", "'", "n", "'", "roll"]),
    ("Na\u00efve e\u0301\u00bd \u65e5\u672c", ["na\u00efve", "\u00e9", "\u00bd", "\u65e5\u672c"]),
    ("a<|endoftext|>", ["a", "<|endoftext|>"]), (" \t", []),
])
def test_words(text, expected):
    assert list(words(text)) == expected


def test_pairs_join_in_the_order_of_the_merges():
    assert spelled("cat cats dogcat") == ["cat</w>", "ca", "t", "s</w>", "do", "g", "cat</w>"]
    assert spelled("Cat") == ["cat</w>"]


def test_bytes_stand_for_what_has_no_token():
    assert len(TOK("\u00e9")) == 2 and TOK.end not in TOK("\u00e9 \U0001f600")


def test_start_end_and_padding():
    assert (TOK.start, TOK.end, TOK.pad) == (len(TOK) - 2, len(TOK) - 1, len(TOK) - 1)
    assert TOK("cat<|endoftext|>")[-1] == TOK.end


@pytest.mark.parametrize("place", ["beside", "in a folder of its name", "in the folder that its yaml names", "in the cache"])
def test_files_are_found(tmp_path, monkeypatch, place):
    checkpoint = tmp_path / "models" / "x.safetensors"
    checkpoint.parent.mkdir()
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    folder = {"beside": checkpoint.parent, "in a folder of its name": checkpoint.with_suffix(""),
              "in the folder that its yaml names": tmp_path / "words",
              "in the cache": tmp_path / "hf/hub/models--openai--clip-vit-large-patch14/snapshots/abc"}[place]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(TOK.vocab), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in TOK.ranks) + "\n", encoding="utf-8")
    if "yaml" in place:
        checkpoint.with_suffix(".yaml").write_text(f"model:\n  params:\n    version: {folder}\n")
    tokenizer = tokenizers.find(checkpoint, len(TOK))
    assert tokenizer.vocab == TOK.vocab and tokenizer.ranks == TOK.ranks


def test_a_missing_or_unfit_vocabulary_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(UserError, match="vocab.json"):
        tokenizers.find(tmp_path / "x.safetensors", len(TOK) + 1)


UNCLEAN = {"1girl\uff0cred dress": "1girl,red dress", "a girl\u2019s \u201cred\u201d dress": "a girl's \"red\" dress",
           "\uff32\uff25\uff24\u3000\uff44\uff52\uff45\uff53\uff53": "RED dress", "cats &amp; dogs": "cats & dogs", "\ufb01ne art": "fine art",
           "\ufeffron": "ron", "a\x1b[31mred": "ared", "sch\u00c3\u00b6n": "sch\u00f6n"}


@pytest.mark.skipif(not importlib.util.find_spec("ftfy"), reason="ftfy is not installed")
@pytest.mark.parametrize("text", UNCLEAN)
def test_texts_are_cleaned_as_the_webui_does_it(text):
    assert list(words(text)) == list(words(UNCLEAN[text]))


def test_clips_own_vocabulary_comes_with_us(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    clip = tokenizers.find(tmp_path / "x.safetensors", 49408)
    assert clip("a photo of a cat") == [320, 1125, 539, 320, 2368] and len(clip) == 49408
    assert (clip.start, clip.end) == (49406, 49407) and clip(",") == [267]
    assert clip.vocab["jekyll</w>"] == 49405 and clip("1girl, \u65e5\u672c") == [272, 1611, 267, 39121, 19277, 361]


def test_a_user_without_a_home_has_clips_vocabulary_too(tmp_path, monkeypatch):
    """As in a container that runs under a number which no user has."""
    monkeypatch.delenv("HF_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert len(tokenizers.find(tmp_path / "model.safetensors", tokenizers.CLIP_TOKENS)) == tokenizers.CLIP_TOKENS


@pytest.mark.skipif(not importlib.util.find_spec("transformers"), reason="transformers is not installed")
def test_hugging_faces_tokenizer_agrees(tmp_path):
    from transformers import CLIPTokenizer

    vocab, merges = tmp_path / "vocab.json", tmp_path / "merges.txt"
    vocab.write_text(json.dumps(TOK.vocab), encoding="utf-8")
    merges.write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in TOK.ranks) + "\n", encoding="utf-8")
    other = CLIPTokenizer(str(vocab), str(merges))
    for text in ("a photo, of (cats:1.2) it's 123!!", "dogcat CAT_dog", *UNCLEAN):
        assert TOK(text) == other(text, add_special_tokens=False).input_ids
