import doctest

import pytest

from lib_sdtune import prompts
from lib_sdtune.data import inspect, prompt_syntax
from lib_sdtune.data.prepare import PrepareConfig, prepare
from tests.data import awful


@pytest.mark.parametrize("caption, plain", [
    (r"fate \(series\), 1girl", "fate (series), 1girl"), ("(cat:1.3), [dog]", "cat, dog"), ("a cat <lora:foo:0.8>", "a cat"),
    ("a cat BREAK a dog", "a cat, a dog"), ("((masterpiece)), cat", "masterpiece, cat"), ("((a (b:1.2) c:1.1), d)", "(a b c, d)"),
    ("[from:to:0.5] x", "from x"), ("[red|blue] hair", "red hair"), ("<lora:a:1>, <hypernet:b:1>, cat", "cat"),
    (r"\[x\] (y\)", "[x] (y)"), ("this AND that", "this, that")])
def test_syntax_is_taken_out_and_named(caption, plain):
    assert prompt_syntax.signs(caption) and prompt_syntax.plain(caption) == plain
    assert not prompt_syntax.signs(prompt_syntax.plain(plain)) or "[x]" in plain


@pytest.mark.parametrize("caption", ["fate (series), 1girl", "a cat  ,, dog", "12:30 at night", "a < b > c", "a breakdance and a band", "(:, x",
                                     "[name], [filewords]", ":) smile", ""])
def test_other_captions_keep_their_letters(caption):
    assert prompt_syntax.signs(caption) == [] and prompt_syntax.plain(caption) is caption


@pytest.mark.parametrize("caption", [r"fate \(series\), 1girl", "a (cat:1.3) on a mat", "a cat <lora:foo:0.8>", "a [small] dog"])
def test_what_is_left_is_what_a_prompt_of_these_letters_encodes(caption):
    prompt = "".join(text for text, _ in prompts.emphasis(prompts.tags(caption)[0]))
    assert prompt_syntax.plain(caption).split() == prompt.split()


def test_the_example_in_the_text():
    assert doctest.testmod(prompt_syntax).attempted and not doctest.testmod(prompt_syntax).failed


def test_a_look_counts_and_preparing_takes_it_out(tmp_path):
    pics = tmp_path / "pics"
    pics.mkdir()
    for number, caption in enumerate([r"fate \(series\)", "a (cat:1.2)", "plain"]):
        awful.scene(seed=number).save(pics / f"{number}.png")
        (pics / f"{number}.txt").write_text(caption)
    named = [problem for problem in inspect.inspect(pics)["problems"] if problem["kind"] == "prompt syntax"]
    assert [problem["path"] for problem in named] == ["0.png", "1.png"] and r"\(" in named[0]["text"] and "(cat:1.2)" in named[1]["text"]
    prepare(pics, tmp_path / "out", PrepareConfig(plain_captions=True))
    assert [(tmp_path / f"out/{number}.txt").read_text() for number in range(3)] == ["fate (series)\n", "a cat\n", "plain\n"]
    assert (pics / "0.txt").read_text() == r"fate \(series\)"


def test_weights_are_no_signs_where_captions_have_weights():
    assert prompt_syntax.signs("a (cat:1.3), [dog], ((x)) <lora:x:1> BREAK", weighted=True) == ["<lora:x:1>", "BREAK"]
