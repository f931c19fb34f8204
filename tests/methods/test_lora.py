"""LoRA as a method: going on from a file, LoRAs that stay, blocks with rates and dims of their own, LoRA+, norms."""

from itertools import pairwise

import pytest
import torch

from lib_sdtune.artefacts import lora as lora_file
from lib_sdtune.config import Config
from lib_sdtune.errors import RunError, UserError
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.loaded_model import ModelSpec
from lib_sdtune.lora_tools.on_model import adapters
from lib_sdtune.methods.lora import LoraMethod
from lib_sdtune.methods.lora_blocks import Blocks
from lib_sdtune.methods.lora_settings import LoraConfig
from lib_sdtune.networks import registry as networks
from lib_sdtune.training.runs import begin
from tests.hosts import TinyHost, bits, resumed, settings, train
from tests.lora_tools import files
from tests.models import tiny_sd1

FAMILIES = {"sd1": files.model("sd1"), "sdxl": files.model("sdxl")}


def method(family="sd1", **lora):
    """The method on a tiny model that nothing happens to."""
    text = {"text_encoder_lr": 1e-3, "unet_lr": 2e-3}
    config = Config.from_dict(settings("pictures", lora=text | lora))
    return LoraMethod(config, FAMILIES[family])


@pytest.mark.parametrize("network", networks.names())
def test_the_seed_and_the_layer_decide_the_beginning(network):
    def beginning(seed):
        config = Config.from_dict(settings("pictures", lora={"network": network}, train={"seed": seed}))
        return {name: tensor.clone() for name, tensor in LoraMethod(config, FAMILIES["sd1"]).tensors().items()}

    first, again, other = (beginning(seed) for seed in (1, 1, 2))
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    drawn = [name for name, tensor in first.items() if tensor.numel() > 1 and tensor.std() > 0 and not name.endswith("dora_scale")]
    assert drawn or network in ("ia3", "diag-oft", "boft")  # they begin with nothing but zeros
    assert not any(torch.equal(first[name], other[name]) for name in drawn)
    assert not any(torch.equal(first[one], first[next_one]) for one, next_one in pairwise(drawn))


@pytest.mark.parametrize("network", networks.names())
def test_going_on_from_a_file_takes_everything_from_it(tmp_path, images, network):
    """One step at a rate that moves nothing measurable: the result is the file, whatever the settings say."""
    host = TinyHost(tmp_path, tiny_sd1)
    source = files.lora(host.folder("lora") / "before.safetensors", network=network, dim=3, alpha=1.5)
    train(host, settings(images, lora={"init_file": "before", "dim": 99, "unet_lr": 1e-9, "text_encoder_lr": 0},
                         train={"max_train_steps": 1}))
    before, after = files.layers(source)[0], files.layers(host.folder("lora") / "ron.safetensors")[0]
    assert before.keys() == after.keys()
    for key, tensors in before.items():
        assert tensors.keys() == after[key].keys()
        for tail, tensor in tensors.items():
            assert tensor.shape == after[key][tail].shape
            assert torch.allclose(tensor, after[key][tail], atol=1e-6), (key, tail)
            assert not key.startswith("lora_te") or torch.equal(tensor, after[key][tail])  # rate 0: kept as it is
    facts = files.layers(host.folder("lora") / "ron.safetensors")[1]
    assert facts["ss_network_module"] == ("networks.lora" if network == "lora" else "lycoris.kohya")
    blocks = network in ("diag-oft", "boft")  # of at most 3 outputs; 2 divides these layers
    assert facts.get("ss_network_dim") in (None if network == "ia3" else "2" if blocks else "3", "Dynamic")


@pytest.mark.parametrize("down, up", [
    ("to_q.lora_A", "to_q.lora_B"), ("to_q.lora.down", "to_q.lora.up"),
    ("to_q.lora_linear_layer.down", "to_q.lora_linear_layer.up"),
    ("processor.to_q_lora.down", "processor.to_q_lora.up")])
def test_a_file_of_other_programs_names_becomes_one_of_kohyas(tmp_path, images, down, up):
    host = TinyHost(tmp_path, tiny_sd1)
    halves = {down: torch.randn(2, 32), up: torch.randn(32, 2)}
    name = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1"
    tensors = {f"{name}.{half}.weight": tensor for half, tensor in halves.items()}
    safetensors.write(host.folder("lora") / "peft.safetensors", tensors)
    train(host, settings(images, lora={"init_file": "peft"}, train={"max_train_steps": 1}))
    layers, _ = files.layers(host.folder("lora") / "ron.safetensors")
    (key,) = layers
    assert key == "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
    assert float(layers[key]["alpha"]) == 2 and not torch.equal(layers[key]["lora_up.weight"], halves[up])


def test_what_does_not_belong_is_refused_before_work(tmp_path, images):
    host = TinyHost(tmp_path)
    for family in ("sd1", "sdxl"):
        files.lora(host.folder("lora") / f"{family}.safetensors", family)
    spec = ModelSpec({"unet": {"input_blocks.11.0.weight": (1,)}}, torch.float32, torch.device("cpu"),
                     family=files.model("sd1").family)
    host.model_spec = lambda model: spec
    for key, sections in (("init", {"lora": {"init_file": "sdxl"}}), ("base", {"model": {"base_loras": ["sdxl:0.5"]}})):
        config = Config.from_dict(settings(images, **sections))
        with pytest.raises(UserError, match="sdxl.safetensors is a LoRA for SDXL and the model is SD1"):
            begin(config, host)
        assert not (host.folder("sdtune") / "runs").exists(), key
    with pytest.raises(UserError, match="There is no LoRA called 'none'"):
        begin(Config.from_dict(settings(images, lora={"init_file": "none"})), host)
    with pytest.raises(UserError, match=r'"model.base_loras\[0\]" must be a name, or a name and a weight'):
        Config.from_dict(settings(images, model={"base_loras": ["sd1:strong"]}))


def test_a_file_that_learned_nothing_more_is_not_called_a_result(tmp_path, images):
    host = TinyHost(tmp_path, tiny_sd1)
    files.lora(host.folder("lora") / "before.safetensors", convolutions=False)
    with pytest.raises(RunError, match="learned nothing"):
        train(host, settings(images, lora={"init_file": "before", "unet_lr": 1e-30, "text_encoder_lr": 1e-30},
                             train={"max_train_steps": 1, "optimizer": "SGDNesterov"}))


def test_base_loras_are_on_the_model_while_it_trains_and_gone_afterwards(tmp_path, images):
    """The loss of the first step is that of the model with the LoRA merged into it; the file holds nothing of it."""
    losses = {}
    config = settings(images, train={"max_train_steps": 2})
    for name in ("bare", "base", "merged"):
        host = TinyHost(tmp_path / name, tiny_sd1)
        source = files.lora(host.folder("lora") / "style.safetensors", dim=2)
        if name == "merged":
            with torch.no_grad():
                for target, adapter in adapters(host.model, lora_file.read(source)):
                    parameter, rows = target.source
                    parameter[rows] += 0.5 * adapter.delta_weight()
        before = bits(host.model)
        control = train(host, config | {"model": {"base_loras": ["style:0.5"] if name == "base" else []}})
        assert all(torch.equal(before[key], tensor) for key, tensor in bits(host.model).items())
        assert not any("forward" in vars(module) for _, part in host.model.modules() for module in part.modules())
        losses[name] = control.loss
        layers, _ = files.layers(host.folder("lora") / "ron.safetensors")
        assert all(len(tensors["lora_down.weight"]) == 4 for tensors in layers.values())
    assert losses["base"] == pytest.approx(losses["merged"], rel=1e-4)
    assert losses["base"] != pytest.approx(losses["bare"], rel=1e-3)


def test_dropouts_and_base_loras_resume_to_the_same_bytes(tmp_path, images):
    for name in ("whole", "broken"):
        files.lora(TinyHost(tmp_path / name).folder("lora") / "style.safetensors", dim=2)
    lora = {"network_dropout": 0.2, "rank_dropout": 0.2, "module_dropout": 0.2, "scale_weight_norms": 0.01,
            "loraplus_lr_ratio": 4.0, "down_lr_weight": [0.5] * 6 + [0.0] * 6}
    whole, broken = resumed(tmp_path, settings(images, lora=lora, model={"base_loras": ["style"]}), tiny_sd1)
    paths = [host.folder("lora") / "ron.safetensors" for host in (whole, broken)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    for key, tensors in files.layers(paths[0])[0].items():
        assert float(torch.linalg.vector_norm(files.product(tensors))) <= 0.01 + 1e-5
        assert not key.startswith(("lora_unet_down_blocks_2", "lora_unet_down_blocks_3"))


def test_lora_plus_gives_the_up_parts_a_rate_of_their_own():
    plain, plus = method(), method(loraplus_lr_ratio=16.0)
    assert [group["lr"] for group in plain.parameter_groups()] == [2e-3, 1e-3]
    groups = plus.parameter_groups()
    assert [group["lr"] for group in groups] == pytest.approx([2e-3, 32e-3, 1e-3, 16e-3])
    ups = {id(each.up) for each in plus.adapters.values()}
    assert {id(p) for group in groups[1::2] for p in group["params"]} == ups
    assert not ups & {id(p) for group in groups[::2] for p in group["params"]}
    text = method(loraplus_lr_ratio=2.0, unet_lr="1e-3:100, 5e-4").parameter_groups()
    assert text[1]["lr"] == "0.002:100, 0.001"


@pytest.mark.parametrize(("family", "names"), [
    ("sd1", {"lora_unet_down_blocks_0_attentions_0_proj_in": 1, "lora_unet_down_blocks_2_attentions_1_proj_in": 8,
             "lora_unet_down_blocks_0_downsamplers_0_conv": 3, "lora_unet_mid_block_resnets_1_conv1": 12,
             "lora_unet_up_blocks_1_attentions_0_proj_in": 16, "lora_unet_up_blocks_3_attentions_2_proj_in": 24}),
    ("sdxl", {"lora_unet_input_blocks_4_1_proj_in": 5, "lora_unet_middle_block_1_proj_in": 11,
              "lora_unet_middle_block_2_in_layers_2": 12, "lora_unet_output_blocks_0_1_proj_in": 13,
              "lora_unet_output_blocks_8_0_in_layers_2": 21})])
def test_blocks_are_numbered_as_in_sd_scripts(family, names):
    """networks/lora.py, get_block_index."""
    model = FAMILIES[family]
    blocks = Blocks(LoraConfig(), len(model.unet.input_blocks))
    targets = {target.key: target for target in model.family.targets(model)}
    assert {name: blocks.index(targets[name]) for name in names} == names


def test_blocks_have_dims_and_rates_of_their_own():
    count = 25
    dims, alphas = list(range(1, count + 1)), [float(number) / 2 for number in range(1, count + 1)]
    lora = method(block_dims=dims, block_alphas=alphas, up_lr_weight=[0.0] * 6 + [2.0] * 6)
    by_key = lora.adapters
    assert by_key["lora_unet_down_blocks_0_attentions_0_proj_in"].dim == 2
    assert by_key["lora_unet_mid_block_attentions_0_proj_in"].alpha == 6.5
    assert by_key["lora_te_text_model_encoder_layers_0_mlp_fc1"].dim == 4
    ups = [number for number in (1, 2) if f"lora_unet_up_blocks_{number}_attentions_0_proj_in" in by_key]
    assert ups == [2]
    assert [group["lr"] for group in lora.parameter_groups()] == pytest.approx([2e-3, 4e-3, 1e-3])
    assert lora.metadata()["ss_network_dim"] == "Dynamic"
    with pytest.raises(UserError, match="25"):
        method(block_dims=[4] * 23)
    assert method("sdxl", block_dims=[4] * 23).adapters


def test_presets_choose_layers_as_in_lycoris():
    everything = {target.key: target for target in files.model("sd1").family.targets(files.model("sd1"))}
    ends = ("to_k", "to_v", "ff_net_2", "k_proj", "v_proj", "mlp_fc2")
    paper = method(preset="ia3", network="ia3", conv_dim=4)
    assert set(paper.adapters) == {key for key in everything if key.endswith(ends)}
    for key, adapter in paper.adapters.items():
        assert bool(adapter.on_input) == key.endswith(("ff_net_2", "mlp_fc2")), key
    assert set(method(preset="attn-only", conv_dim=4).adapters) == {
        key for key in everything if "attn1" in key or "attn2" in key or "self_attn" in key}
    assert set(method(preset="unet-convblock-only", conv_dim=4, text_encoder_lr=1e-3).adapters) == {
        key for key, target in everything.items() if target.kind == "convolution"}
    outer = {"lora_unet_conv_in", "lora_unet_conv_out", "lora_unet_time_embedding_linear_1",
             "lora_unet_time_embedding_linear_2"}
    assert set(method(preset="full", conv_dim=4).adapters) == set(everything) | outer
    assert "lora_unet_conv_in" not in method(preset="full").adapters
    assert set(method("sdxl", preset="full", conv_dim=4).adapters) == set(method("sdxl", conv_dim=4).adapters)
    assert method(preset="ia3").metadata()["ss_network_args"] == {"preset": "ia3"}
    with pytest.raises(UserError, match="conv_dim"):
        method(preset="unet-convblock-only")


@pytest.mark.parametrize(("family", "transformer", "residual"), [
    ("sd1", "lora_unet_mid_block_attentions_0_transformer_blocks_0_norm3", "lora_unet_up_blocks_3_resnets_2_norm2"),
    ("sdxl", "lora_unet_middle_block_1_norm", "lora_unet_input_blocks_4_0_in_layers_0")])
def test_norms_learn_beside_the_layers_that_do(family, transformer, residual):
    def norms(**settings):
        return {key for key, each in method(family, train_norm=True, **settings).adapters.items() if each.name == "norm"}

    assert transformer in norms() and residual not in norms()
    assert {transformer, residual} < norms(conv_dim=4) == norms(conv_dim=4, preset="full")
    assert {key.rpartition("_")[2] for key in norms(conv_dim=4, preset="unet-convblock-only")} <= {"norm1", "norm2", "0"}
    assert not norms(preset="attn-only") and not norms(unet_lr=0)
    assert method(family, train_norm=True).metadata()["ss_network_args"] == {"train_norm": "True"}
    assert method(family, train_norm=True).metadata()["ss_network_module"] == "lycoris.kohya"
    shapes = {name: tuple(tensor.shape) for name, tensor in FAMILIES[family].unet.state_dict().items()}
    spec = ModelSpec({"unet": shapes}, torch.float32, torch.device("cpu"), family=FAMILIES[family].family)
    plain, more = (LoraMethod.count_trainable(Config.from_dict(settings("pictures", lora={"train_norm": on})), spec)
                   for on in (False, True))
    learning = [each for each in method(family, train_norm=True, conv_dim=4).adapters.values() if each.name == "norm"]
    assert more - plain == sum(each.w_norm.numel() + each.b_norm.numel() for each in learning)


def test_norms_are_trained_saved_and_gone_on_from(tmp_path, images):
    config = settings(images, lora={"train_norm": True, "conv_dim": 2}, train={"max_train_steps": 5})
    whole, broken = resumed(tmp_path, config)
    file = whole.folder("lora") / "ron.safetensors"
    assert file.read_bytes() == (broken.folder("lora") / "ron.safetensors").read_bytes()
    tensors, _ = files.layers(file)
    norms = {key: each for key, each in tensors.items() if "w_norm" in each}
    assert len(norms) == len(list(whole.model.family.norm_targets(whole.model)))
    assert all(each["w_norm"].any() and each["b_norm"].any() for each in norms.values())
    before = bits(whole.model)
    train(whole, config | {"name": "more", "lora": {"init_file": "ron", "unet_lr": 1e-9}, "train": {"max_train_steps": 1}})
    after, facts = files.layers(whole.folder("lora") / "more.safetensors")
    assert all(torch.allclose(each["b_norm"], after[key]["b_norm"], atol=1e-6) for key, each in norms.items())
    assert facts["ss_network_dim"] == "Dynamic" and all(before[name].equal(each) for name, each in bits(whole.model).items())
    train(whole, config | {"name": "on_top", "model": {"base_loras": [["ron", 0.5]]}, "train": {"max_train_steps": 1}})


def test_a_dim_that_boft_cannot_have_is_refused_before_work(tmp_path, images):
    host = TinyHost(tmp_path)
    shape = {"input_blocks.11.0.weight": (1,), "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight": (320, 320)}
    host.model_spec = lambda model: ModelSpec({"unet": shape}, torch.float32, torch.device("cpu"),
                                              family=files.model("sd1").family)
    with pytest.raises(UserError, match='BOFT cannot part 320 outputs into blocks of 4; set "lora.dim" to 10 or more'):
        begin(Config.from_dict(settings(images, lora={"network": "boft", "dim": 4})), host)


def test_norms_are_shortened_as_in_sd_scripts():
    lora = method(scale_weight_norms=1.0)
    for number, adapter in enumerate(lora.adapters.values()):
        adapter.up.data.normal_(std=0.001 if number % 2 else 1.0, generator=torch.Generator().manual_seed(number))
    before = {key: adapter.delta_weight().detach().clone() for key, adapter in lora.adapters.items()}
    lora.constrain()
    for key, adapter in lora.adapters.items():
        norm = torch.linalg.vector_norm(before[key])
        expected = before[key] * (1 / norm) if norm > 1 else before[key]
        assert torch.allclose(adapter.delta_weight(), expected, atol=1e-5)


def test_options_that_a_network_cannot_follow_are_refused():
    for lora, says in (({"network": "loha", "network_dropout": 0.1}, "rank_dropout"),
                       ({"network": "lokr", "loraplus_lr_ratio": 4}, "no up part")):
        with pytest.raises(UserError, match=says):
            Config.from_dict(settings("pictures", lora=lora))
    with pytest.raises(UserError, match="one rate for everything"):
        Config.from_dict(settings("pictures", lora={"loraplus_lr_ratio": 4, "unet_lr": 1, "text_encoder_lr": 1},
                                  train={"optimizer": "Prodigy"}))


def test_memory_is_estimated_by_the_dims_of_the_file_to_go_on_from(tmp_path, images, monkeypatch):
    from lib_sdtune.training.memory import measure

    host = TinyHost(tmp_path)
    files.lora(host.folder("lora") / "before.safetensors", network="loha", dim=7)
    host.model_spec = lambda model: ModelSpec({"unet": {}}, torch.float32, torch.device("cpu"))
    estimated = []
    monkeypatch.setattr(measure, "estimate", lambda config, spec: estimated.append(config.lora) or 1)
    for lora in ({"init_file": "before", "dim": 99}, {"init_file": "gone", "dim": 99}):
        measure.estimated_need(Config.from_dict(settings(images, lora=lora)), host)
    assert [(lora.network, lora.dim) for lora in estimated] == [("loha", 7), ("lora", 99)]


def test_a_base_lora_that_was_exchanged_is_noticed_at_resume(tmp_path, images):
    host = TinyHost(tmp_path, tiny_sd1)
    files.lora(host.folder("lora") / "style.safetensors", dim=2)
    config = settings(images, model={"base_loras": ["style"]})

    def stop(control):
        if control.state == "training" and control.step == 3:
            control.request("stop_without_saving")

    train(host, config, watch=stop)
    files.lora(host.folder("lora") / "style.safetensors", dim=2, seed=2)
    with pytest.raises(UserError, match='"model.base_loras" is another file now'):
        train(host, config, resume=True)


def test_captions_that_were_encoded_under_a_base_lora_are_not_taken_for_others(tmp_path, images):
    """A cache on disk outlives the run: what a text encoder says hangs on the LoRAs that stay on it."""
    losses = []
    for loras in (["style"], []):
        host = TinyHost(tmp_path, tiny_sd1)
        files.lora(host.folder("lora") / "style.safetensors", dim=2)
        config = settings(images, f"ron{len(losses)}", lora={"text_encoder_lr": 0}, model={"base_loras": loras},
                          train={"max_train_steps": 1})
        losses.append(train(host, config).loss)
    fresh = TinyHost(tmp_path / "fresh", tiny_sd1)
    bare = train(fresh, settings(images, "ron", lora={"text_encoder_lr": 0}, train={"max_train_steps": 1})).loss
    assert losses[1] == bare != losses[0]
