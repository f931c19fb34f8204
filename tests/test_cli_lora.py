"""The verb `lora` from end to end: extract, resize, merge, and back into the checkpoint."""

import torch

from lib_sdtune.__main__ import main
from lib_sdtune.formats import tensors as safetensors
from tests.lora_tools import files


def test_the_difference_of_two_checkpoints_makes_the_one_of_the_other(tmp_path, capsys):
    before = files.checkpoint(tmp_path / "before.safetensors")
    after = files.checkpoint(tmp_path / "after.safetensors", change=0.02)
    full, half, other, both, merged = (
        str(tmp_path / f"{name}.safetensors") for name in ("full", "half", "other", "both", "merged")
    )
    tool = lambda *words: main(["lora", *map(str, words)])  # noqa: E731
    assert tool("extract", after, before, full, "--dim", 512, "--conv-dim", 512, "--clamp-quantile", 1) == 0
    assert tool("resize", full, half, "--dim", 8, "--dynamic-method", "sv_fro", "--dynamic-param", 0.9) == 0
    assert "Of the norm" in capsys.readouterr().out
    assert tool("resize", full, half, "--dim", 4) == 2
    assert "exists already" in capsys.readouterr().err
    assert tool("resize", full, half, "--dim", 4, "--overwrite") == 0
    assert tool("merge", other, full, f"{half}:-1") == 0
    assert tool("merge", both, half, other) == 0
    assert tool("merge", merged, both, "--checkpoint", before) == 0
    result, expected, start = (safetensors.read(path)[0] for path in (merged, after, before))
    name = "model.diffusion_model.middle_block.1.transformer_blocks.0.ff.net.2.weight"
    assert torch.allclose(result[name], expected[name], atol=1e-4) and not torch.allclose(
        result[name], start[name], atol=1e-2
    )


def test_mistakes_end_with_a_sentence(tmp_path, capsys):
    source = files.lora(tmp_path / "a.safetensors")
    for words, sentence in (
        (["resize", source, "b.safetensors"], "--dim"),
        (["shrink"], "shrink"),
        (
            ["resize", tmp_path / "none.safetensors", tmp_path / "b.safetensors", "--dim", 2],
            "There is no file",
        ),
        (["resize", source, tmp_path / "b.safetensors", "--dim", 2, "--device", "gpu9"], "gpu9"),
        (
            ["merge", tmp_path / "b.safetensors", source, "--dim", 2, "--checkpoint", source],
            "--dim is a LoRA's",
        ),
    ):
        assert main(["lora", *map(str, words)]) == 2
        assert sentence in capsys.readouterr().err
