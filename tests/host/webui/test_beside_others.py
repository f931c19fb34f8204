"""Beside other extensions: what they left on the model is neither learned nor drawn, and is theirs again afterwards."""

import importlib.util
import logging
import os
import shutil
import sys
from pathlib import Path

import numpy
import pytest
import torch
import webui_probe

from lib_sdtune.errors import RunError, UserError
from lib_sdtune.families.sdxl import SDXL
from lib_sdtune.families.variant import Variant
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.sections.model import Model
from tests.host.webui.test_runs import pictures, settings, tensors, train
from tests.webui.meddler_modes import OF_PICTURES, PUT_ASIDE, REFUSED

MEDDLER = Path(__file__).parents[2] / "webui" / "meddler"


@pytest.fixture(scope="module")
def installed(webui):
    """The meddling extension in the WebUI's own folder, as if it had been there at the start."""
    from modules import extensions, paths_internal, script_callbacks

    folder = Path(paths_internal.extensions_dir) / "meddler"
    shutil.copytree(MEDDLER, folder, dirs_exist_ok=True)
    present, callbacks = list(extensions.extensions), {key: list(value) for key, value in script_callbacks.callback_map.items()}
    install(folder)
    spec = importlib.util.spec_from_file_location("sdtune_meddling", folder / "sdtune_meddling.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.register()
    script_callbacks.ordered_callbacks_map.clear()
    yield module
    module.stop()
    extensions.extensions[:] = present
    script_callbacks.callback_map.update(callbacks)
    script_callbacks.ordered_callbacks_map.clear()
    shutil.rmtree(folder)


def install(folder):
    from types import SimpleNamespace

    from modules import extensions

    metadata = SimpleNamespace(list_callback_order_instructions=lambda: [])
    extensions.extensions.append(SimpleNamespace(name=folder.name, path=str(folder), is_builtin=False, enabled=True, metadata=metadata))


@pytest.fixture
def meddling(installed, host):
    yield installed
    installed.stop()


def draw():
    """A user's picture whose prompt is encoded anew: the WebUI keeps what it encoded before the meddler came."""
    from lib_sdtune.host.webui.neutral import conditioning_cache

    conditioning_cache.clear()
    return webui_probe.draw(seed=1)


def request(prompt="a cat"):
    return SampleRequest(prompt, steps=webui_probe.STEPS, cfg_scale=4, seed=1, width=webui_probe.SIZE, height=webui_probe.SIZE, sampler="Euler")


def answers(model):
    """What the lent model says, forwards and backwards, and the VAE's picture."""
    context = model.family.encode_text(model, ["a cat"]).context
    noisy = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3)).requires_grad_()
    prediction = model.unet(noisy, torch.tensor([500]), context=context)
    prediction.square().mean().backward()
    pixels = model.vae.decoder(model.vae.post_quant_conv(noisy.detach()))
    return [tensor.detach().clone() for tensor in (context, prediction, noisy.grad, pixels)]


def equal(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_all_modes_are_tried(meddling):
    assert set(meddling.PUT_ASIDE) == set(PUT_ASIDE) and set(meddling.REFUSED) == set(REFUSED)


@pytest.mark.parametrize("mode", [name for name in PUT_ASIDE if name not in OF_PICTURES])
def test_what_was_left_is_not_learned_and_comes_back(host, meddling, mode, caplog):
    with host.borrow(Model()) as model:
        expected = answers(model)
    plain = draw()
    meddling.start(mode)
    theirs, before = draw(), webui_probe.fingerprint()
    assert (theirs != plain).any(), "the meddler does nothing, so this test shows nothing"
    with caplog.at_level(logging.WARNING, "sdtune"), host.borrow(Model()) as model:
        assert equal(answers(model), expected)
        if mode != "hooks_everywhere":
            assert not any(table for module in model.unet.modules() for name, table in vars(module).items() if "_hooks" in name)
        assert (numpy.asarray(next(host.generate([request()]))) == plain).all()
    assert [record.getMessage() for record in caplog.records if 'the extension "meddler" left' in record.getMessage()]
    assert webui_probe.differences(before, webui_probe.fingerprint()) == []
    assert (draw() == theirs).all(), "it must be theirs again afterwards"
    meddling.stop()
    assert (draw() == plain).all()


@pytest.fixture
def plain_sample(installed, host):
    installed.stop()
    return draw()


@pytest.mark.parametrize("lent", [True, False], ids=["in a run", "between runs"])
@pytest.mark.parametrize("mode", PUT_ASIDE)
def test_our_pictures_are_as_with_nothing_ticked(plain_sample, host, meddling, mode, lent):
    from contextlib import nullcontext

    meddling.start(mode)
    meddling.asked()
    before = webui_probe.fingerprint()
    with host.borrow(Model()) if lent else nullcontext():
        assert (numpy.asarray(next(host.generate([request()]))) == plain_sample).all()
    assert webui_probe.differences(before, webui_probe.fingerprint()) == []


@pytest.mark.parametrize("mode", REFUSED)
def test_what_cannot_be_put_aside_is_refused_with_its_name(host, meddling, mode):
    meddling.start(mode)
    before = webui_probe.fingerprint()
    with pytest.raises(UserError, match=REFUSED[mode]) as refusal, host.borrow(Model()):
        pass
    assert "start again" in str(refusal.value)
    assert webui_probe.differences(before, webui_probe.fingerprint()) == []


@pytest.fixture
def images(tmp_path):
    return pictures(tmp_path / "ron", count=2, size=(64, 64))


@pytest.mark.parametrize("method", ["lora", "dreambooth", "textual_inversion", "hypernetwork"])
def test_a_run_beside_others_learns_the_same(host, meddling, images, method):
    config = settings(images, "ron", method=method, overwrite=True, lora={"dim": 2, "alpha": 2, "unet_lr": 0.05})
    quiet, _ = train(host, config)
    expected = tensors(quiet.path) if quiet.path.suffix == ".safetensors" else quiet.path.read_bytes()
    for mode in PUT_ASIDE:
        meddling.start(mode)
    meddling.asked()
    beside, control = train(host, config)
    meddling.stop()
    assert (tensors(beside.path) if beside.path.suffix == ".safetensors" else beside.path.read_bytes()) == expected
    notes = " ".join(control.facts["notes"])
    assert "meddler" in notes and "put aside" in notes.lower()
    beside.path.unlink()
    from modules.sd_hijack import model_hijack

    model_hijack.embedding_db.load_textual_inversion_embeddings(force_reload=True)


def test_a_parameter_exchanged_by_a_picture_in_between_is_not_learned(host, meddling):
    with host.borrow(Model()) as model:
        expected = answers(model)
        from contextlib import nullcontext

        with host.lent_to_others():
            meddling.start("exchange_parameter")
            theirs = model.unet.time_embed[0].weight
        assert equal(answers(model), expected)
        assert model.unet.time_embed[0].weight is not theirs
        with nullcontext(), host.lent_to_others():
            assert model.unet.time_embed[0].weight is theirs
            meddling.stop()


def test_weights_merged_by_a_picture_in_between_stop_the_run(host, meddling):
    with pytest.raises(RunError, match="merged"), host.borrow(Model()), host.lent_to_others():
        meddling.start("merged_in_place")


def test_a_picture_that_changes_the_model_stops_the_run(host, meddling, monkeypatch):
    from modules import shared_state

    real = shared_state.State.nextjob
    monkeypatch.setattr(shared_state.State, "nextjob", lambda self: (meddling.start("exchange_parameter"), real(self))[1])
    before = webui_probe.fingerprint()
    with pytest.raises(RunError, match="a parameter of .*time_embed"), host.borrow(Model()):
        next(host.generate([request()]))
    assert webui_probe.differences({key: value for key, value in before.items() if key != "state"}, webui_probe.fingerprint()) in ([], ["state"])


def test_a_failure_in_an_extension_names_it(host, meddling):
    def failing(*args):
        exec(compile("raise ValueError('from over there')", meddling.__file__, "exec"), {})

    with pytest.raises(RunError, match='The extension "meddler" failed .*from over there'), host.borrow(Model()):
        failing()


def test_functions_exchanged_before_our_start_are_found_again(host, meddling, monkeypatch):
    from lib_sdtune.host.webui.extensions import hijack_points

    block = sys.modules["ldm.modules.attention"].BasicTransformerBlock
    with host.borrow(Model()) as model:
        expected = answers(model)
    meddling.start("block_class")
    monkeypatch.setitem(hijack_points._start, block, dict(vars(block)))
    with host.borrow(Model()) as model:
        assert equal(answers(model), expected)
    monkeypatch.setattr(hijack_points, "still_alive", lambda owner, name: None)
    with pytest.raises(UserError, match='BasicTransformerBlock._forward was exchanged by the extension "meddler"'), host.borrow(Model()):
        pass


def test_what_stood_on_an_object_before_our_start_is_put_aside(host, meddling, monkeypatch):
    from modules.sd_hijack_unet import th

    from lib_sdtune.host.webui.extensions import hijack_points

    with host.borrow(Model()) as model:
        expected = answers(model)
    meddling.start("cat")
    theirs = vars(th)["cat"]
    monkeypatch.setitem(hijack_points._start, th, dict(vars(th)))
    with host.borrow(Model()) as model:
        assert equal(answers(model), expected) and "cat" not in vars(th)
    assert vars(th)["cat"] is theirs


def test_this_extension_is_no_stranger_when_its_folder_is_a_link(host, tmp_path):
    from lib_sdtune.host.webui.extensions import ownership

    (tmp_path / "sd-tune").symlink_to(ownership.OURS, target_is_directory=True)
    file = tmp_path / "sd-tune" / "lib_sdtune" / "host" / "base.py"
    assert ownership.folder_around(str(file), (("sd-tune", str(tmp_path / "sd-tune")),), str(tmp_path)) == ""
    assert ownership.folder_around(str(tmp_path / "other" / "a.py"), (), str(tmp_path)) == "other"


def test_some_rows_of_every_tensor_are_compared(host, monkeypatch):
    from modules import shared

    from lib_sdtune.host.webui.extensions import checkpoint_file, stored_tensors

    count, numbers, holds = [], [], checkpoint_file.holds

    def counted(tensor, stored, chosen):
        count.append(tensor)
        numbers.append(stored.read(chosen).numel())
        return holds(tensor, stored, chosen)

    checkpoint_file.agreements.clear()
    monkeypatch.setattr(checkpoint_file, "holds", counted)
    monkeypatch.setattr(stored_tensors.checkpoint, "read_any", None)  # it would read the whole file
    checkpoint_file.refuse_other_weights(shared.sd_model)
    compared, rows = len(count), sum(numbers)
    numbers.clear()
    checkpoint_file.refuse_other_weights(shared.sd_model, everything=True)
    assert compared == len(count) - compared > 500 and rows < sum(numbers) / 2


def test_a_file_that_agreed_is_not_read_again(host, monkeypatch, tmp_path):
    """Until a row of the model, or the file, is another."""
    from modules import shared

    from lib_sdtune.host.webui.extensions import checkpoint_file

    read, stored_tensors = [], checkpoint_file.stored_tensors
    monkeypatch.setattr(checkpoint_file, "stored_tensors", lambda path: read.append(path) or stored_tensors(path))
    checkpoint_file.agreements.clear()
    with host.borrow(Model()):
        for _ in range(3):
            with host.lent_to_others():
                pass
    next(host.generate([request()]))
    assert len(read) == 1
    info = shared.sd_model.sd_checkpoint_info
    copy = tmp_path / f"copy{Path(info.filename).suffix}"
    shutil.copy(info.filename, copy)
    monkeypatch.setattr(info, "filename", str(copy))
    checkpoint_file.refuse_other_weights(shared.sd_model)
    os.utime(copy, ns=(1, 1))
    checkpoint_file.refuse_other_weights(shared.sd_model)
    checkpoint_file.refuse_other_weights(shared.sd_model)
    assert len(read) == 3
    checkpoint_file.refuse_other_weights(shared.sd_model, everything=True)
    assert len(read) == 4


@pytest.mark.parametrize("place", ["a row in a matrix's last third", "one bias"])
def test_a_merge_into_a_part_of_one_tensor_is_found(host, place):
    from modules import shared

    from lib_sdtune.host.webui.extensions import checkpoint_file

    layer = shared.sd_model.model.diffusion_model.middle_block[1].transformer_blocks[0].ff.net[0].proj
    tensor = layer.bias if "bias" in place else layer.weight
    changed = tensor.data[-1:] if "bias" in place else tensor.data[len(tensor) * 2 // 3:]
    before = changed.clone()
    changed.mul_(1.01).add_(1e-3)
    try:
        with pytest.raises(UserError, match="ff.net.0.proj.*does not hold what"):
            checkpoint_file.refuse_other_weights(shared.sd_model)
    finally:
        changed.copy_(before)


def test_loaders_of_loras_are_named_where_weights_are_not_the_file_s(host, meddling, monkeypatch):
    monkeypatch.setitem(sys.modules, "sdtune_meddling", meddling)
    monkeypatch.setattr(meddling, "merge_lora", meddling.merged_in_place, raising=False)
    meddling.start("merged_in_place")
    with pytest.raises(UserError, match=r"another extension \(meddler loads LoRAs\) has merged"), host.borrow(Model()):
        pass


def test_pictures_between_runs_are_not_drawn_with_another_s_merge(host, meddling):
    meddling.start("merged_in_place")
    with pytest.raises(UserError, match="merged"):
        next(host.generate([request()]))


def test_a_model_loaded_past_the_queue_is_refused(host, unchanged):
    from modules import sd_models, shared

    with host.borrow(Model()):
        assert sd_models.load_model() is shared.sd_model
        other = next(info for info in sd_models.checkpoints_list.values() if info.filename != shared.sd_model.sd_checkpoint_info.filename)
        with pytest.raises(RuntimeError, match="SD Tune is using"):
            sd_models.load_model(other)


def test_another_model_after_a_picture_stops_the_run(host, monkeypatch):
    from modules import sd_models

    with pytest.raises(RunError, match="another model"), host.borrow(Model()), host.lent_to_others():
        monkeypatch.setattr(sd_models.model_data, "sd_model", torch.nn.Identity())
    monkeypatch.undo()


def test_what_is_known_at_once_is_refused_before_a_run_is_queued(host, unchanged, monkeypatch):
    from modules import shared

    host.check(Model())
    monkeypatch.setitem(shared.opts.data, "fp8_storage", "Enable")
    with pytest.raises(UserError, match="FP8 weight to Disable"):
        host.check(Model())
    monkeypatch.setitem(shared.opts.data, "fp8_storage", "Enable for SDXL")
    host.check(Model())
    with monkeypatch.context() as patch:
        patch.setattr(host, "detected", lambda model_settings: (SDXL(), Variant()))
        with pytest.raises(UserError, match="FP8 weight to Disable"):
            host.check(Model())
    monkeypatch.setitem(shared.opts.data, "fp8_storage", "Disable")
    monkeypatch.setattr(shared.cmd_opts, "lowvram", True)
    with pytest.raises(UserError, match="--medvram"):
        host.check(Model())


def test_the_form_begins_with_the_webui_s_clip_skip_and_a_difference_is_told(host, caplog, monkeypatch):
    from modules import shared

    monkeypatch.setitem(shared.opts.data, "CLIP_stop_at_last_layers", 2)
    assert host.defaults(Model())["model"]["clip_skip"] == 2
    with caplog.at_level(logging.WARNING, "sdtune"):
        with host.borrow(Model(clip_skip=2)):
            pass
        assert "clip skip" not in caplog.text
        with host.borrow(Model(clip_skip=1)):
            pass
    assert "clip skip is 1 and the WebUI's is 2" in caplog.text


def test_modules_that_are_imported_meanwhile_disturb_no_look_at_them(webui):
    """As another thread does it whenever a collection of garbage, which a list of pairs may set off, lets it."""
    import gc
    import itertools
    from types import ModuleType

    from lib_sdtune.host.webui.extensions import hijack_points, lora_loaders

    names = (f"sdtune_imported_meanwhile_{number}" for number in itertools.count())

    def importing(phase, info):
        if phase == "start":
            name = next(names)
            sys.modules[name] = ModuleType(name)

    threshold = gc.get_threshold()
    gc.callbacks.append(importing)
    gc.set_threshold(1)
    try:
        assert list(hijack_points.of_model())
        lora_loaders.running()
    finally:
        gc.callbacks.remove(importing)
        gc.set_threshold(*threshold)
        for name in [name for name in sys.modules if name.startswith("sdtune_imported_meanwhile_")]:
            del sys.modules[name]
