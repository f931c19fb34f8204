import pytest

from lib_sdtune.prompts import emphasis, tags


def test_tags_are_taken_out():
    text, parsed = tags("a cat <lora:ron:0.8> on <hypernet:old:1> grass<lora:x:0.5:0.25><lora:y:te=0.1:unet=2>")
    assert text == "a cat  on  grass"
    assert [(tag.kind, tag.name) for tag in parsed] == [("lora", "ron"), ("hypernet", "old"), ("lora", "x"), ("lora", "y")]
    assert parsed[0].weight() == 0.8 and parsed[0].weight(1, "unet", default=0.8) == 0.8
    assert [parsed[2].weight(0, "te"), parsed[2].weight(1, "unet")] == [0.5, 0.25]
    assert [parsed[3].weight(0, "te"), parsed[3].weight(1, "unet")] == [0.1, 2]
    assert tags("<lora:z>")[1][0].weight() == 1.0 == tags("<lora:z:much>")[1][0].weight()
    assert {tags(f"<lora:z:{weight}>")[1][0].weight() for weight in ("nan", "inf", "-inf", "1e999")} == {1.0}


@pytest.mark.parametrize(("prompt", "pieces"), [
    ("normal text", [("normal text", 1.0)]),
    ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
    ("(unbalanced", [("unbalanced", 1.1)]),
    (r"\(literal\]", [("(literal]", 1.0)]),
    ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
    ("[less] :) (a:b)", [("less", 1 / 1.1), (" :) ", 1.0), ("a:b", 1.1)]),
    ("a (cat:1.5)", [("a ", 1.0), ("cat", 1.5)]),
    ("a BREAK b", [("a", 1.0), ("BREAK", -1), ("b", 1.0)]),
    ("(a BREAK b:2)", [("a", 2.0), ("BREAK", -1), ("b", 2.0)]),
    ("", [("", 1.0)]),
    ("a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
     [("a ", 1.0), ("house", 1.573), (" ", 1.1), ("on", 1.0), (" a ", 1.1), ("hill", 0.55), (", sun, ", 1.1), ("sky", 1.4641), (".", 1.1)]),
])
def test_emphasis_as_in_the_webui(prompt, pieces):
    weighted = emphasis(prompt)
    assert [text for text, _ in weighted] == [text for text, _ in pieces]
    assert [weight for _, weight in weighted] == pytest.approx([weight for _, weight in pieces])
