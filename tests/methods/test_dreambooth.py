"""DreamBooth on a tiny model: the whole model learns, a whole checkpoint comes out, and the lent model is as it was."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lib_sdtune.config import Config
from lib_sdtune.errors import RunError, UserError
from lib_sdtune.evaluation.publish import remaining
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.ldm import architecture, checkpoint, config_yaml, header, webui_config
from lib_sdtune.methods.lent_weights import LentWeights
from lib_sdtune.optim.weight_groups import largest_group
from lib_sdtune.training import optimizer_steps, state
from lib_sdtune.training.runs import RunFolder
from lib_sdtune.training.validation import Validation
from tests.hosts import TinyHost, bits, settings, train
from tests.models import checkpoint_tensors

OLD = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 2)


@pytest.fixture
def host(tmp_path):
    return Lender(tmp_path / "data")


class Lender(TinyHost):
    """A host that tells where its folders are, as the real ones do.

    dtype: of all but the VAE (the WebUI's --no-half-vae): a CPU takes seconds for a picture in half precision. A half
    VAE is in tests/training/test_cuda.py."""

    def __init__(self, data_dir, dtype=torch.float32):
        super().__init__(data_dir)
        self.model.folder = self.folder
        for part, module in self.model.modules():
            if part != "vae":
                module.to(dtype)


def dream(images, **changes):
    small = {"method": "dreambooth", "dreambooth": {"unet_lr": 1e-4, "text_encoder_lr": 1e-5},
             "train": {"max_train_steps": 2, "gradient_checkpointing": "off"}, "save": {"state_every_n_steps": 1, "precision": "float"}}
    both = {key: {**value, **changes.pop(key, {})} if isinstance(value, dict) else value for key, value in small.items()}
    return settings(images, **both, **changes)


def made(host, name="ron", kind="checkpoints"):
    with safe_open(host.folder(kind) / f"{name}.safetensors", "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


def same(before, after):
    return all(torch.equal(before[name], after[name]) for name in before)


def stop_at(step, wish="stop_without_saving"):
    def watch(control):
        if control.state == "training" and control.step == step:
            control.request(wish)

    return watch


def test_a_run_leaves_no_folder_where_the_originals_were_kept(host, images):
    control = train(host, dream(images))
    assert control.state == "finished" and not (control.folder / "aside").exists()


def test_a_run_leaves_a_whole_checkpoint_and_the_lent_model_as_it_was(host, images):
    before, storages = bits(host.model), [p.data_ptr() for _, m in host.model.modules() for p in m.parameters()]
    control = train(host, dream(images))
    assert same(before, bits(host.model)) and storages == [p.data_ptr() for _, m in host.model.modules() for p in m.parameters()]
    assert not any(p.requires_grad or p.grad is not None for _, m in host.model.modules() for p in m.parameters())
    tensors, metadata = made(host)
    assert {name: tensor.shape for name, tensor in tensors.items()} == {name: t.shape for name, t in checkpoint_tensors(host.model).items()}
    unet, vae, (text,) = architecture.build(*checkpoint.read(host.folder("checkpoints") / "ron.safetensors"))
    assert all(torch.equal(p, q) for p, q in zip(vae.parameters(), host.model.vae.parameters(), strict=True))
    moved = [not torch.equal(p, q) for p, q in zip(unet.parameters(), host.model.unet.parameters(), strict=True)]
    layers = [tower.text_model.encoder.layers[0].mlp.fc1.weight for tower in (text, host.model.text_encoders[0])]
    assert all(moved) and not torch.equal(*layers)
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1" and metadata["ss_unet_lr"] == "0.0001"
    assert control.artefacts == [str(host.folder("checkpoints") / "ron.safetensors")]
    assert not list((control.folder / "aside").rglob("*.safetensors"))


@pytest.mark.parametrize("dtype, weights", [(torch.float32, "auto"), (torch.bfloat16, "float32"), (torch.bfloat16, "bfloat16"),
                                           pytest.param(torch.float16, "float32", marks=pytest.mark.skipif(
                                               OLD, reason="this torch has no float16 convolutions on the CPU"))])
def test_stopping_and_resuming_gives_the_same_bytes(images, tmp_path, dtype, weights):
    whole, broken = Lender(tmp_path / "whole", dtype), Lender(tmp_path / "broken", dtype)
    config = dream(images, dreambooth={"weights": weights, "ema_decay": 0.9, "unet_lr": 1e-3}, sample={"every_n_steps": 1})
    before = bits(whole.model)
    train(whole, config)
    assert same(before, bits(whole.model))
    train(broken, config, watch=stop_at(1))
    assert same(before, bits(broken.model)) and not (broken.folder("checkpoints") / "ron.safetensors").exists()
    train(broken, config, resume=True)
    whole_state, resumed_state = (state.load(state.newest(h.folder("sdtune") / "runs" / "ron"))[0] for h in (whole, broken))
    assert same(whole_state, resumed_state) and len(whole_state) > len(list(whole.model.unet.parameters()))
    assert (whole.folder("sdtune") / "runs/ron/samples").exists()


@pytest.mark.parametrize("dtype, weights", [(torch.float32, "auto"), (torch.bfloat16, "float32"), (torch.bfloat16, "bfloat16")])
def test_a_pause_gives_the_original_back_and_changes_nothing(images, tmp_path, dtype, weights):
    results = []
    for paused in (False, True):
        host, seen = Lender(tmp_path / str(paused), dtype), []
        before = bits(host.model)

        def watch(control, host=host, seen=seen, before=before, paused=paused):
            if paused and control.state == "training" and control.step == 1 and not seen:
                seen.append("asked")
                control.request("pause")
            if control.state == "paused" and len(seen) == 1:
                seen.append(same(before, bits(host.model)))
                control.request("resume")

        train(host, dream(images, dreambooth={"weights": weights}), watch=watch)
        assert seen == (["asked", True] if paused else [])
        results.append(made(host)[0])
    assert same(*results)


def test_the_model_comes_back_after_a_failure_in_the_middle(host, images):
    before = bits(host.model)

    def fail(control):
        if control.state == "training" and control.step == 1:
            raise OSError(5, "the cable fell out")

    with pytest.raises(RunError):
        train(host, dream(images), watch=fail)
    assert same(before, bits(host.model))


@pytest.mark.parametrize("weights", ["bfloat16", "float32"])  # in the originals' place, and in place
def test_originals_that_cannot_be_read_any_more_are_told(host, images, monkeypatch, weights):
    """And every weight has memory: one without would end the whole program where it is read."""
    put_in_originals = LentWeights.put_in_originals

    def on_a_broken_disk(lent):
        os.truncate(lent.originals.path, lent.originals.path.stat().st_size // 2)
        put_in_originals(lent)

    monkeypatch.setattr(LentWeights, "put_in_originals", on_a_broken_disk)
    with pytest.raises(RunError, match="could not be put back"):
        train(host, dream(images, dreambooth={"weights": weights}, train={"max_train_steps": 1}))
    assert all(tensor.untyped_storage().nbytes() for tensor in host.model.unet.parameters())


def test_trained_weights_that_a_disk_changed_meanwhile_are_not_learned_from(host, images):
    before, damaged = bits(host.model), []

    def watch(control):
        if control.state == "training" and control.step == 1 and not damaged:
            control.request("pause")
        if control.state == "paused" and not damaged:
            path = next(control.folder.rglob("trained.safetensors"))
            with open(path, "r+b") as file:
                file.seek(-1, os.SEEK_END)
                last = file.read(1)
                file.seek(-1, os.SEEK_END)
                file.write(bytes([last[0] ^ 1]))
            damaged.append(path)
            control.request("resume")

    with pytest.raises(RunError, match="check that disk"):
        train(host, dream(images, dreambooth={"weights": "bfloat16"}), watch=watch)
    assert damaged and same(before, bits(host.model))


def test_weights_that_share_memory_with_others_come_back(host, images):
    """As two views of one piece, which is resized for neither."""
    weights = [parameter for parameter in host.model.unet.parameters() if parameter.ndim == 1][:2]
    piece = torch.cat([weight.detach() for weight in weights])
    for weight, view in zip(weights, piece.split([weight.numel() for weight in weights]), strict=True):
        weight.data = view
    before = bits(host.model)
    train(host, dream(images, train={"max_train_steps": 1}))
    assert same(before, bits(host.model)) and all(weight.data_ptr() for weight in weights)


def test_float32_copies_hold_what_half_precision_could_not(images, tmp_path):
    host = Lender(tmp_path / "data", torch.bfloat16)
    train(host, dream(images, dreambooth={"unet_lr": 1e-6}, train={"max_train_steps": 2}))
    start, tensor = dict(host.model.unet.named_parameters())["out.0.weight"].float(), made(host)[0]["model.diffusion_model.out.0.weight"]
    assert 0 < (start - tensor).abs().max() < 1e-5  # weights of about 1, where bfloat16 steps by 0.0078


def test_stepping_in_groups_is_stepping_together_where_nothing_is_clipped(images, tmp_path, monkeypatch):
    results = []
    for way in (optimizer_steps.FusedBackwardStep, optimizer_steps.GroupedStepAfterBackward, optimizer_steps.OptimizerStep):
        host = Lender(tmp_path / way.__name__)
        monkeypatch.setattr(optimizer_steps, "choose", way)
        train(host, dream(images, train={"max_grad_norm": 0}))
        results.append(made(host)[0])
    assert all(torch.allclose(other[name], results[0][name], atol=1e-7) for other in results[1:] for name in other)


def test_gradients_of_few_groups_exist_at_once(host, images, monkeypatch):
    """One group's that is being stepped, and some of the next ones' in the backward pass."""
    values, move = [], optimizer_steps.FusedBackwardStep.move

    def counting(self, group):
        values.append(sum(trained.weight.numel() for trained in self.trained_weights if trained.weight.grad is not None))
        sizes.append(largest_group([trained.weight.numel() for trained in self.trained_weights]))
        move(self, group)

    sizes = []
    monkeypatch.setattr(optimizer_steps.FusedBackwardStep, "move", counting)
    train(host, dream(images, train={"max_train_steps": 1}))
    assert len(values) > 10 and max(values) < 2 * sizes[0]


def test_the_originals_take_no_memory_while_the_weights_live_in_another_format(host, images):
    held = []

    def watch(control):
        if control.state == "training" and control.step == 1:
            held.append(sum(home.untyped_storage().nbytes() for home in homes))

    homes = [p.data for p in host.model.unet.parameters()]
    before = bits(host.model)
    train(host, dream(images, dreambooth={"weights": "bfloat16", "text_encoder_lr": 0}), watch=watch)
    assert held and set(held) == {0}
    assert same(before, bits(host.model)) and all(home.untyped_storage().nbytes() == home.nbytes for home in homes)


def test_numbers_that_overflow_are_skipped_and_the_originals_come_back(host, images):
    before = bits(host.model)

    def poison(control):
        if control.state == "training" and control.step == 1:
            with torch.no_grad():
                host.model.unet.out[2].bias.fill_(float("nan"))

    with pytest.raises(RunError, match="10 steps in a row"):
        train(host, dream(images, train={"max_train_steps": 40}), watch=poison)
    assert same(before, bits(host.model))
    learned, rest = state.load(state.newest(host.folder("sdtune") / "runs" / "ron"))
    assert rest["step"] == 1 and all(torch.isfinite(tensor).all() for tensor in learned.values())


def test_the_text_encoder_stops_at_its_step(images, tmp_path):
    def tower(steps):
        host = Lender(tmp_path / str(steps))
        train(host, dream(images, train={"max_train_steps": steps, "stop_text_encoder_training": 1}))
        return {name: t for name, t in made(host)[0].items() if name.startswith("cond_stage_model")}

    assert same(tower(1), tower(2))


def test_the_difference_as_a_lora_does_what_the_checkpoint_does(host, images):
    control = train(host, dream(images, dreambooth={"lora_dim": 64, "unet_lr": 1e-3}))
    lora, metadata = made(host, kind="lora")
    trained, _ = made(host)
    key, name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q", "middle_block.1.transformer_blocks.0.attn1.to_q.weight"
    delta = lora[f"{key}.lora_up.weight"] @ lora[f"{key}.lora_down.weight"]
    difference = trained[f"model.diffusion_model.{name}"] - dict(host.model.unet.named_parameters())[name]
    assert difference.abs().max() > 1e-4 and torch.allclose(delta, difference, atol=1e-6)
    assert metadata["ss_network_dim"] == "64" and [artefact.kind for artefact in host.published] == ["checkpoints", "lora"]
    assert len(control.artefacts) == 2
    assert remaining(host, RunFolder(control.folder), control.artefacts)["artefacts"] == control.artefacts


def test_the_average_is_what_is_saved(images, tmp_path):
    plain, averaged = Lender(tmp_path / "plain"), Lender(tmp_path / "averaged")
    train(plain, dream(images))
    train(averaged, dream(images, dreambooth={"ema_decay": 0.99}))
    start = plain.model.unet.out[2].weight
    steps = [(made(h)[0]["model.diffusion_model.out.2.weight"] - start).norm() for h in (plain, averaged)]
    assert 0 < steps[1] < steps[0]


def test_validation_measures_what_is_saved(host, images, monkeypatch):
    measured = []

    def measure(self, examples):
        measured.append(host.model.unet.out[2].weight.detach().clone())
        return [0.0] * 4

    monkeypatch.setattr(Validation, "measure", measure)
    train(host, dream(images, dreambooth={"ema_decay": 0.99}, validation={"split": 0.34, "every_n_steps": 1}))
    saved = made(host)[0]["model.diffusion_model.out.2.weight"]
    assert torch.equal(measured[-1], saved) and not torch.equal(measured[0], saved)


@pytest.mark.parametrize("precision, dtype", [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_precision_of_the_file_and_no_residue_of_a_host(host, images, precision, dtype):
    table = host.model.text_encoders[0].text_model.embeddings.token_embedding

    def hang_something_on(control):
        if control.state == "training" and control.step == 1:
            host.model.unet.middle_block[1].transformer_blocks[0].attn2.hyper_k = torch.nn.Linear(2, 2)

    train(host, dream(images, save={"precision": precision}), watch=hang_something_on)
    tensors, _ = made(host)
    assert {tensor.dtype for tensor in tensors.values()} == {dtype}
    assert not any("hyper" in name or "wrapped" in name for name in tensors) and table.weight.dtype == torch.float32


def test_what_a_host_keeps_in_fewer_bits_than_the_file_is_written_as_the_file_has_it(host, images, tmp_path):
    host.model.path = tmp_path / "source.safetensors"
    source = {name: tensor.clone() for name, tensor in checkpoint_tensors(host.model).items()}
    save_file(source, host.model.path)
    vae = dict(host.model.vae.named_parameters())
    for weight in vae.values():  # as forks do, which Family.encode_images then gets in float32 again
        weight.data = weight.data.bfloat16().float()
    vae["decoder.conv_in.weight"].data += 1  # of another VAE
    train(host, dream(images, dreambooth={"text_encoder_lr": 0}))
    written = made(host)[0]
    kept = [name for name in source if name.startswith(("first_stage_model.", "cond_stage_model.")) and "decoder.conv_in.weight" not in name]
    assert len(kept) > 100 and all(torch.equal(written[name], source[name]) for name in kept)
    assert torch.equal(written["first_stage_model.decoder.conv_in.weight"], vae["decoder.conv_in.weight"])


def test_refusals_before_anything_is_trained(host, images, tmp_path, monkeypatch):
    train(host, dream(images))
    host.model.path = host.folder("checkpoints") / "ron.safetensors"
    with pytest.raises(UserError, match="is the checkpoint that would be trained"):
        train(host, dream(images, overwrite=True, train={"seed": 2}))
    host.model.path = None
    monkeypatch.setattr("lib_sdtune.training.disk_space.free_space", lambda folder: 2**20)
    with pytest.raises(UserError, match="disk space"):
        train(host, dream(images, name="lack"))
    monkeypatch.undo()
    monkeypatch.setattr("lib_sdtune.training.memory.free.free_memory", lambda device: 2**20)
    drawing = {"images": str(images), "class_images": str(tmp_path / "class"), "class_prompt": "a cat", "num_class_images": 3}
    with pytest.raises(UserError, match="Not even one step would fit: AdamW needs"):
        train(host, dream(images, name="lack", concepts=[drawing]))
    assert not host.asked, "it must be told before hours of drawing class pictures"
    chosen = {"train": {"optimizer": "Lion"}, "dreambooth": {"weights": "bfloat16"}}
    with pytest.raises(UserError) as refused:
        train(host, dream(images, name="lack", **chosen))
    assert "Lion needs" in str(refused.value) and "Train a LoRA" in str(refused.value)
    assert "Choose Lion" not in str(refused.value) and "weights" not in str(refused.value)


def test_a_checkpoint_gets_the_yaml_that_it_needs_and_no_other(host, images, caplog):
    """An SD2 checkpoint that predicts velocity has one; an SD1 of the same name must not be loaded by it."""
    path = host.folder("checkpoints") / "ron.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("model:\n  params:\n    parameterization: v\n", encoding="utf-8")
    model, path_of_config = host.model, path.with_name("ron.safetensors")
    webui_config.write(path_of_config, model)
    assert header.config_beside(path_of_config) == (model.family.config(model) or {})
    assert (path.parent / "ron.yaml.bak").exists() and "is now ron.yaml.bak" in caplog.text
    config_yaml.lay(path_of_config, None)
    assert not path.exists() and not (path.parent / "ron.yaml.2.bak").exists()


def test_a_model_made_from_the_embedded_one_goes_on_like_it(tmp_path, images):
    """Its build, its vocabulary and its settings go with it, and the WebUI gets a description of its sizes."""
    host = EmbeddedHost(tmp_path / "data")
    config = {"name": "mine", "method": "dreambooth", "concepts": [{"images": str(images), "prompt": "a photo of ron cat"}],
              "train": {"max_train_steps": 1, "batch_size": 1}, "save": {"precision": "fp16"}}
    train(host, Config.from_dict(config, host.defaults()))
    path = host.folder("checkpoints") / "mine.safetensors"
    descendant, source = EmbeddedHost(tmp_path / "data", "mine"), host.defaults()
    assert descendant.defaults() == source and descendant.resolution == host.resolution
    with descendant.borrow() as model, torch.no_grad():
        assert model.unet.middle_block[1].transformer_blocks[0].attn1.heads == 8
        model.family.encode_text(model, ["a photo of a cat"])
    described = json.loads(path.with_suffix(".yaml").read_text())["model"]["params"]
    assert described["unet_config"]["params"]["context_dim"] == 64 and described["unet_config"]["params"]["num_heads"] == 8
    assert (Path(described["cond_stage_config"]["params"]["version"]) / "vocab.json").exists()


@pytest.mark.parametrize("unet, text", [(torch.float32, torch.bfloat16), (torch.bfloat16, torch.float32)])
def test_samples_are_drawn_in_each_parts_own_number_format(images, tmp_path, unet, text):
    """A host may keep the text encoders in another format than the UNet, and what does not learn of them stays in it."""
    host, seen = Lender(tmp_path / "data", unet), []
    for tower in host.model.text_encoders:
        tower.to(text)
    before, generate = bits(host.model), host.generate

    def formats(module):
        return {tensor.dtype for tensor in module.parameters()}

    def looking(requests):
        seen.append((formats(host.model.unet), *map(formats, host.model.text_encoders)))
        return generate(requests)

    host.generate = looking
    control = train(host, dream(images, sample={"every_n_steps": 1, "prompts": ["a cat"], "width": 64, "height": 64}))
    assert control.state == "finished" and seen and set(map(str, seen)) == {str(({unet}, {text}))}
    after = bits(host.model)
    assert all(torch.equal(after[name], before[name]) and after[name].dtype == before[name].dtype for name in before)
