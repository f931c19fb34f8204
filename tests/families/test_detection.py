"""Which family and variant a checkpoint is: from names, shapes, markers, the .yaml, the metadata, and for SD2 from its weights."""

import json

import pytest
from safetensors.torch import save_file

from lib_sdtune.errors import UserError
from lib_sdtune.families.detection import detect
from lib_sdtune.families.variant import Variant
from lib_sdtune.ldm import header, probe
from lib_sdtune.ldm.header import Header
from tests.models import TINY, checkpoint_tensors

V_LATENT_DIFFUSION = {"model": {"params": {"parameterization": "v"}}}
V_ENGINE = {"model": {"params": {"denoiser_config": {"params": {"scaling_config": {"target": "sgm.VScaling"}}}}}}


@pytest.fixture(scope="module")
def shapes():
    return {name: {key: tuple(tensor.shape) for key, tensor in checkpoint_tensors(make()).items()} for name, make in TINY.items()}


@pytest.mark.parametrize("name", TINY)
def test_every_family_is_told_by_its_tensors(shapes, name):
    family, variant = detect(Header("m.safetensors", shapes[name]))
    assert family.name == name and variant == Variant(resolution=family.resolution)
    assert all(shapes[name].keys() >= {family.prefixes[part] + key for key in own}
               for part, own in family.shapes(Header("m", shapes[name])).items())


@pytest.mark.parametrize(("name", "config"), [("sd1", V_LATENT_DIFFUSION), ("sd2", V_LATENT_DIFFUSION), ("sdxl", V_ENGINE)])
def test_a_yaml_alone_tells_a_v_model(shapes, name, config):
    family, variant = detect(Header("m.safetensors", shapes[name], config=config))
    assert variant.prediction_type == "v_prediction"
    assert variant.resolution == {"sd1": 512, "sd2": 768, "sdxl": 1024}[name]
    assert family.defaults(variant)["dataset"]["resolution"] == variant.resolution


def test_markers_and_metadata_tell_where_there_is_no_yaml(shapes):
    marked = Header("m", shapes["sdxl"] | {"v_pred": (0,), "ztsnr": (0,)})
    family, variant = detect(marked)
    assert (variant.prediction_type, variant.zero_terminal_snr) == ("v_prediction", True)
    assert family.defaults(variant)["noise"] == {"zero_terminal_snr": True}
    by_metadata = Header("m", shapes["sd1"], {"modelspec.prediction_type": "v"})
    assert detect(by_metadata)[1].prediction_type == "v_prediction"
    epsilon_by_yaml = Header("m", shapes["sdxl"] | {"v_pred": (0,)}, config={"model": {"params": {"x": 1}}})
    assert detect(epsilon_by_yaml)[1].prediction_type == "epsilon"


def test_only_sd2_asks_its_weights_and_only_when_nothing_else_tells(shapes):
    asked = []

    def answer():
        asked.append(1)
        return True

    assert detect(Header("m", shapes["sd2"], probe=answer))[1] == Variant("v_prediction", resolution=768)
    detect(Header("m", shapes["sd2"], config=V_LATENT_DIFFUSION, probe=answer))
    detect(Header("m", shapes["sd1"], probe=answer))
    assert asked == [1]


def test_the_probe_tells_a_velocity_by_the_weights(tmp_path):
    model = TINY["sd2"]()
    for bias, speaks in ((-5.0, True), (0.0, False)):
        model.unet.out[2].bias.data.fill_(bias)
        save_file(checkpoint_tensors(model), tmp_path / "m.safetensors")
        assert probe.velocity(model.unet, 16) is probe.answers_velocity(tmp_path / "m.safetensors") is speaks
        assert (detect(header.read(tmp_path / "m.safetensors"))[1].prediction_type == "v_prediction") is speaks


@pytest.mark.parametrize(("names", "what"), [
    ({"conditioner.embedders.0.model.ln_final.weight": (1280,)}, "an SDXL refiner"),
    ({"embedder.model.ln_final.weight": (768,)}, "an unCLIP checkpoint"),
    ({"model.diffusion_model.input_blocks.0.0.weight": (320, 8, 3, 3)}, "an instruct-pix2pix checkpoint"),
    ({"model.diffusion_model.input_blocks.0.0.weight": (320, 5, 3, 3)}, "a depth checkpoint"),
    ({"model.diffusion_model.x_embedder.proj.weight": (1536, 16, 2, 2)}, "a Stable Diffusion 3 checkpoint"),
    ({"cond_stage_model.roberta.embeddings.word_embeddings.weight": (1, 1)}, "an Alt-Diffusion checkpoint"),
    ({"conditioner.embedders.0.transformer.x": (1,), "model.diffusion_model.middle_block.0.x": (1,)}, "an SSD checkpoint"),
    ({"model.diffusion_model.double_blocks.0.x": (1,)}, "of a model family that is not supported"),
])
def test_relatives_are_refused_by_name(names, what):
    with pytest.raises(UserError, match=what):
        detect(Header("m.safetensors", names))


@pytest.mark.parametrize(("family", "prefix", "words"), [
    ("sd1", "cond_stage_model.", "no text encoder"), ("sd2", "cond_stage_model.", "no text encoder"),
    ("sdxl", "conditioner.", "no text encoder"), ("sdxl", "conditioner.embedders.1.", "lacks conditioner.embedders.1.model"),
    ("sdxl", "conditioner.embedders.0.", "lacks conditioner.embedders.0.transformer"),
])
def test_a_missing_text_encoder_is_told_before_anything_is_read(shapes, family, prefix, words):
    names = {name: shape for name, shape in shapes[family].items() if not name.startswith(prefix)}
    with pytest.raises(UserError, match=words):
        detect(Header("m.safetensors", names))


@pytest.mark.parametrize("family", TINY)
def test_a_vae_of_another_family_is_refused(shapes, family):
    other = {"first_stage_model.decoder.conv_in.weight": (512, 16, 3, 3)}
    with pytest.raises(UserError, match=r"16 channels and SD\w+ models read 4"):
        detect(Header("m.safetensors", shapes[family] | other))


def test_a_yaml_of_another_checkpoint_is_refused(shapes):
    other = {"model": {"params": {"unet_config": {"params": {"in_channels": 4, "context_dim": 1024}}}}}
    with pytest.raises(UserError, match="context_dim 1024 and its weights have 16"):
        detect(Header("m.safetensors", shapes["sd1"], config=other))


def test_a_yaml_that_is_none_is_told(tmp_path):
    (tmp_path / "m.yaml").write_text("a: [")
    with pytest.raises(UserError, match="m.yaml is no YAML"):
        header.config_beside(tmp_path / "m.safetensors")


def test_what_the_settings_say_counts_more_than_the_file():
    by_file = Variant("v_prediction", zero_terminal_snr=True)
    assert by_file.overridden() == by_file
    assert by_file.overridden("epsilon") == Variant("epsilon")
    assert Variant().overridden("v_prediction", True) == by_file
    with pytest.raises(UserError, match="needs a v-prediction model"):
        Variant().overridden("auto", True)


def test_a_changed_yaml_is_noticed(tmp_path):
    path = tmp_path / "m.safetensors"
    save_file(checkpoint_tensors(TINY["sd1"]()), path)
    assert detect(header.read(path))[1].prediction_type == "epsilon"
    path.with_suffix(".yaml").write_text(json.dumps(V_LATENT_DIFFUSION))
    assert detect(header.read(path))[1].prediction_type == "v_prediction"


def test_head_counts_come_from_the_yaml():
    def heads(**unet_params):
        return Header("m", {}, config={"model": {"params": {"unet_config": {"params": unet_params}}}}).architecture()

    assert heads(num_heads=8) == {"unet": {"num_heads": 8, "head_channels": None}}
    assert heads(num_head_channels=64) == {"unet": {"head_channels": 64}}
    assert heads(num_heads=-1, num_head_channels=32) == {"unet": {"head_channels": 32}} and heads() == {}
