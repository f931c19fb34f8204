"""Every network as the WebUI's own Lora extension reads it: its picture is the one that the run drew with the network attached."""

import pytest
from PIL import Image

from lib_sdtune.networks import registry

SAMPLE = {"prompts": ["a photo of ron"], "every_n_steps": 12, "steps": 3, "seed": 11, "cfg_scale": 4, "width": 64, "height": 64}
CASES = {f"{name}{' locon' if conv else ''}": (name, conv) for name, _ in registry for conv in (0, 4)}


@pytest.mark.parametrize("case", CASES)
def test_the_webui_draws_what_the_run_drew(webui, config, case):
    network, conv_dim = CASES[case]
    lora = {"network": network, "dim": 4, "alpha": 2, "conv_dim": conv_dim, "unet_lr": 0.05, "text_encoder_lr": 0.01}
    asked = {**config, "name": f"live {case}", "lora": lora, "train": {"max_train_steps": 12}, "sample": SAMPLE}
    status, answer = webui.tune("/runs", asked)
    assert status == 201, answer
    run = webui.until(answer["id"], lambda run: run["state"] == "finished")
    drawn = Image.open(run["samples"][-1]).convert("RGB").tobytes()
    plain = webui.draw("a photo of ron", sampler_name="Euler a")
    used = webui.draw(f"a photo of ron <lora:{answer['id']}:1>", sampler_name="Euler a")
    effect, error = distance(plain, used), distance(drawn, used)
    print(f"{case}: changes values by {effect:.2f} on average, differs from the run's picture by {error:.3f}")
    assert effect > 1 and error < 0.05 * effect


def distance(first, second):
    return sum(abs(a - b) for a, b in zip(first, second, strict=True)) / len(first)
