from xml.etree import ElementTree

from lib_sdtune.data.bar_chart import bars, stacked


def test_every_count_has_a_bar_of_its_length():
    root = ElementTree.fromstring(bars("Buckets", {"512x512": 40, "<b>&": 10}))
    lengths = [float(rect.get("width")) for rect in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert lengths[0] == 4 * lengths[1]
    assert "<b>&" in "".join(root.itertext()) and "40" in "".join(root.itertext())


def test_what_is_too_much_is_summed_up():
    root = ElementTree.fromstring(bars("Tags", {f"tag {n}": 1 for n in range(100)}, most=10))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) == 10 and "and 91 more" in "".join(root.itertext())
    empty = ElementTree.fromstring(bars("Nothing", {}))
    assert not list(empty.iter("{http://www.w3.org/2000/svg}rect")) and "Nothing" in "".join(empty.itertext())


def test_charts_stand_below_each_other_whatever_their_names_hold():
    both = stacked([bars("Buckets", {"512x512": 4}), bars("Tags", {"a\x01\x0b\udcff🦊": 1, "b": 2})])
    root = ElementTree.fromstring(both.encode())
    inner = [child for child in root if child.tag.endswith("svg")]
    assert [int(child.get("y")) for child in inner] == [0, int(inner[0].get("height"))]
    assert int(root.get("height")) == sum(int(child.get("height")) for child in inner) and "🦊" in "".join(root.itertext())


def test_a_tag_is_not_one_text_that_the_webui_could_translate():
    assert ">N<!-- -->ame<" in bars("Tags", {"Name": 2})
