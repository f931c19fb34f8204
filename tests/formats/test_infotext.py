from PIL import Image

from lib_sdtune.formats import infotext


def test_written_as_the_webui_writes_it():
    text = infotext.write("a cat", "blurry", {
        "Steps": 20, "Sampler": "Euler a", "Size": "64x64", "Clip skip": None, "Lora hashes": "ron: abc"})
    assert text == 'a cat\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Size: 64x64, Lora hashes: "ron: abc"'


def test_read_back():
    parameters = {"Steps": "20", "Sampler": "DDIM", "Seed": "3", "Lora hashes": "ron: abc, x: def"}
    for prompt, negative in (("a cat, (dog:1.2)\nsecond line", "blurry"), ("a", "")):
        assert infotext.read(infotext.write(prompt, negative, parameters)) == (prompt, negative, parameters)
    assert infotext.read("only a prompt") == ("only a prompt", "", {})


def test_a_png_carries_it(tmp_path):
    image = Image.new("RGB", (8, 8), "red")
    image.info["parameters"] = "a cat\nSteps: 20, Sampler: DDIM, Seed: 1"
    infotext.save(image, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as back:
        assert back.info["parameters"] == image.info["parameters"]
