"""CUDA graphs on the pretended card: the same learning with a few launches, and eager where they cannot be had."""

import gc
import math
from types import SimpleNamespace

import pytest
import torch

from lib_sdtune import networks
from lib_sdtune.config import Config
from lib_sdtune.training import cuda_graphs
from lib_sdtune.training.cuda_graphs import EAGER, CudaGraphs
from lib_sdtune.training.runs import begin
from lib_sdtune.training.trainer import Trainer
from tests.hosts import TinyHost, pictures, settings
from tests.pretended import pretended_cuda
from tests.pretended.hosts import CardHost

torch.manual_seed(0)
WEIGHTS = torch.randn(6, 6)


class Unet(torch.nn.Module):
    """Answers x, timesteps and a context; only `learning` learns."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.register_buffer("frozen", WEIGHTS.clone())
        self.learning, self.dropout = torch.nn.Parameter(WEIGHTS.t().clone()), dropout

    def forward(self, x, timesteps, context=None, y=None):
        hidden = torch.nn.functional.dropout(x @ self.frozen + context, self.dropout)
        return torch.tanh(hidden + timesteps[:, None] + (0 if y is None else y)) @ self.learning


@pytest.fixture
def card():
    with pretended_cuda() as card:
        yield card


def on_card(rows, requires_grad=False, **seed):
    values = torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed.get("seed", rows))).to("cuda")
    return values.requires_grad_(requires_grad)


def learn(unet, rows=3, steps=EAGER + 3, y=False):
    """Gradients of each step, with a context that learns too and other values every time."""
    gradients = []
    for step in range(steps):
        unet.learning.grad, context = None, on_card(rows, True, seed=step)
        more = {"y": on_card(rows, seed=100 + step)} if y else {}
        unet(on_card(rows, seed=50 + step), torch.arange(rows).float().to("cuda") + step, context=context, **more).square().mean().backward()
        gradients.append((unet.learning.grad.clone(), context.grad.clone()))
    return gradients


def same(gradients, others):
    return all(torch.allclose(gradient.cpu(), expected.cpu(), rtol=1e-5) for step, step2 in zip(gradients, others, strict=True)
               for gradient, expected in zip(step, step2, strict=True))


def graphs_of(unet):
    return CudaGraphs(unet, lambda: [unet.learning], torch.float32)


@pytest.mark.parametrize("y", [False, True])
def test_what_is_replayed_gives_the_same_gradients(card, y):
    eager, unet = learn(Unet().to("cuda"), y=y), Unet().to("cuda")
    with graphs_of(unet) as graphs:
        assert same(learn(unet, y=y), eager) and len(graphs.recordings) == 1
    assert "forward" not in vars(unet) and not graphs.recordings


def test_a_replay_is_two_launches_of_the_unet(card):
    unet = Unet().to("cuda")
    with graphs_of(unet):
        learn(unet)
        with card.counting() as counts:
            learn(unet, steps=1)
    assert counts.launches["graph"] == 2 and not counts.launches["aten.tanh.default"]


def test_each_shape_has_its_recording_and_what_comes_seldom_has_none(card):
    unet = Unet().to("cuda")
    with graphs_of(unet) as graphs:
        learn(unet, steps=EAGER)
        assert not graphs.recordings
        learn(unet, rows=3), learn(unet, rows=4)
        assert len(graphs.recordings) == 2


def test_nothing_is_replayed_between_a_forward_and_its_backward(card):
    eager, unet = Unet().to("cuda"), Unet().to("cuda")

    def both(unet):
        loss = sum(unet(on_card(3, seed=seed), torch.ones(3).to("cuda"), context=on_card(3)).square().mean() for seed in (1, 2))
        unet.learning.grad = None
        loss.backward()
        return [(unet.learning.grad.clone(),)]

    with graphs_of(unet) as graphs:
        learn(unet)
        unet(on_card(3), torch.ones(3).to("cuda"), context=on_card(3, True)).sum().backward()
        for _ in range(3):
            assert same(both(unet), both(eager))
        assert graphs.recordings


def test_a_tensor_that_moved_is_recorded_anew(card):
    """As weights do that are shown to a host in its own number format."""
    eager, unet = Unet().to("cuda"), Unet().to("cuda")
    with graphs_of(unet):
        learn(unet)
        for each in (eager, unet):
            each.frozen.data, each.learning.data = 2 * each.frozen, each.learning.detach() - 1
        assert same(learn(unet), learn(eager))


def test_recordings_hold_no_memory_once_they_are_gone(card):
    """Without waiting for Python to collect them."""
    unet = Unet().to("cuda")
    gc.collect()
    gc.disable()
    try:
        before = torch.cuda.memory_allocated()
        with graphs_of(unet) as graphs:
            learn(unet)
            assert graphs.recordings and torch.cuda.memory_allocated() > before
            unet.learning.grad = None
        assert torch.cuda.memory_allocated() == before
    finally:
        gc.enable()


def test_a_capture_minds_its_own_thread_alone(card):
    """The WebUI's page frees GPU memory from other threads at any time, which would end a capture of the whole process."""
    graph, unet = torch.cuda.graph, Unet().to("cuda")
    with graphs_of(unet):
        learn(unet)
    assert card.capture_modes and set(card.capture_modes) == {"thread_local"} and torch.cuda.graph is graph


def test_measuring_is_never_recorded(card):
    unet = Unet().to("cuda")
    with graphs_of(unet) as graphs, torch.no_grad():
        for _ in range(EAGER + 2):
            unet(on_card(3), torch.ones(3).to("cuda"), context=on_card(3))
        assert not graphs.recordings and not graphs.calls


def test_dropout_is_never_recorded(card, caplog):
    unet = Unet(dropout=0.5).to("cuda")
    with graphs_of(unet) as graphs:
        learn(unet)
        assert not graphs.recordings and "left out at random" in caplog.text


def out_of_memory(*_, **__):
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")


def doubled(forward, samples, **_):
    return lambda *inputs: 2 * forward(*inputs)


@pytest.mark.parametrize(("recorder", "reason"), [(out_of_memory, "CUDA out of memory"), (doubled, "gradients differ")])
def test_a_recording_that_cannot_be_trusted_is_done_without(card, caplog, monkeypatch, recorder, reason):
    eager, unet = learn(Unet().to("cuda")), Unet().to("cuda")
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", recorder)
    with graphs_of(unet) as graphs:
        assert same(learn(unet), eager)
        assert not graphs.active and reason in caplog.text


def waits(x):
    return float(x.sum())


def copies_from_the_cpu(x):
    return torch.arange(6.0).to(x.device)


@pytest.mark.parametrize("rule", [waits, copies_from_the_cpu])
def test_a_forward_that_waits_for_the_card_is_never_recorded(card, caplog, rule):
    """A capture that fails leaves the whole program without `torch.cuda.empty_cache`, and on another stream."""
    eager, unet = learn(Unet().to("cuda")), Unet().to("cuda")
    forward, stream = unet.forward, torch.cuda.current_stream()
    unet.forward = lambda *inputs, **named: (rule(inputs[0]), forward(*inputs, **named))[1]
    with graphs_of(unet) as graphs:
        assert same(learn(unet), eager)
        assert not graphs.recordings and "synchronizing" in caplog.text
    torch.cuda.empty_cache()
    assert torch.cuda.current_stream() is stream and torch.cuda.get_sync_debug_mode() == 0


def test_a_capture_that_fails_for_another_reason_leaves_the_stream_as_it_was(card, monkeypatch):
    """torch puts it back only after a capture that ended well."""
    unet, stream = Unet().to("cuda"), torch.cuda.current_stream()
    forward = unet.forward

    def waits_in_the_capture(*inputs, **named):
        if card.recording is not None:
            float(inputs[0].sum())
        return forward(*inputs, **named)

    unet.forward = waits_in_the_capture
    with graphs_of(unet) as graphs:
        learn(unet)
        assert not graphs.active
    assert torch.cuda.current_stream() is stream


CHOSEN = {"config": {"cuda_graphs": True, "gradient_accumulation_steps": 1}, "device": "cuda", "offloaded": [], "fused": False, "size": 1,
          "recomputing": False, "room": 200, "networks": ["lora", "ia3"]}


@pytest.mark.parametrize("obstacle", [
    {"device": "cpu"}, {"device": "cpu", "fused": True}, {"offloaded": ["unet"]}, {"fused": True, "room": 110}, {"size": 2}, {"recomputing": True},
    {"config": {"cuda_graphs": True, "gradient_accumulation_steps": 2}}, {"networks": ["diag-oft"]}, {"networks": ["lora", "boft"]}])
def test_what_stands_in_the_way_is_said(caplog, monkeypatch, obstacle):
    monkeypatch.setattr(cuda_graphs, "needed", lambda *_, **__: 40)

    def choose(facts):
        monkeypatch.setattr(cuda_graphs, "room", lambda device: {"cuda": facts["room"]}[device.type])
        model = SimpleNamespace(device=torch.device(facts["device"]), offloaded=facts["offloaded"], unet=Unet(), spec=lambda: None)
        method = SimpleNamespace(fused_backward=facts["fused"], trained_weights=lambda: [SimpleNamespace(weight=WEIGHTS)], dtype=torch.float16)
        optimizer_step = SimpleNamespace(world=SimpleNamespace(size=facts["size"]), leaves=list)
        return cuda_graphs.choose(SimpleNamespace(train=SimpleNamespace(**facts["config"])), model, method,
                                  optimizer_step, torch.float16, facts["recomputing"], [networks.registry[name] for name in facts["networks"]])

    assert isinstance(choose(CHOSEN), CudaGraphs) and isinstance(choose(CHOSEN | {"fused": True}), CudaGraphs) and not caplog.text
    assert not isinstance(choose(CHOSEN | obstacle), CudaGraphs) and '"train.cuda_graphs" has no effect here' in caplog.text


@pytest.mark.parametrize("network", [name for name, network in networks.registry if network.can_be_recorded])
def test_each_network_is_recorded(tmp_path, network):
    """Also those whose weights are made again in the backward pass."""
    images = pictures(tmp_path / "1_ron", count=1, size=(64, 64))
    lora = {"network": network, "dim": 2, "preset": "ia3" if network == "ia3" else "attn-mlp"}
    config = settings(images, lora=lora, dataset={"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 64},
                      train={"max_train_steps": 4, "cuda_graphs": True}, save={"state_every_n_steps": 0})
    with pretended_cuda():
        host, config = CardHost(tmp_path / "data", torch.float16), Config.from_dict(config)
        with Trainer(config, host.model, begin(config, host)) as trainer:
            for _ in range(EAGER + 1):
                trainer.advance()
            assert len(trainer.attachment.cuda_graphs.recordings) == 1


@pytest.mark.parametrize("method", ["lora", "hypernetwork"])
def test_the_teacher_takes_no_recording_away(tmp_path, method):
    """A hypernetwork stands before the UNet's forward itself, and is taken off in the middle of a step."""
    asked = {"prior_preservation": "auto", "teacher_every_n_examples": 1}
    images = pictures(tmp_path / "2_ron", count=1, size=(64, 64))
    config = Config.from_dict(settings(
        images, method=method, loss=asked, dataset={"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 64},
        train={"max_train_steps": 8, "cuda_graphs": True, "gradient_checkpointing": "off"}, save={"state_every_n_steps": 0}))
    with pretended_cuda() as card:
        host = CardHost(tmp_path / "data", torch.float16)
        with Trainer(config, host.model, begin(config, host)) as trainer:
            assert trainer.teacher.batches(1, trainer.training_data.examples(1))
            for _ in range(EAGER + 1):
                trainer.advance()
            with card.counting() as counts:
                trainer.advance()
            assert counts.launches["graph"] == 2 and len(trainer.attachment.cuda_graphs.recordings) == 1
        assert "forward" not in vars(host.model.unet) and host.untouched()


@pytest.mark.parametrize("method", ["lora", "dreambooth"])
def test_a_run_learns_the_same(tmp_path, method):
    """Also after weights were shown in another number format, as samples want them."""
    def losses(graphs):
        images = pictures(tmp_path / str(graphs) / "1_ron", count=1)
        config = settings(images, method=method, save={"state_every_n_steps": 0}, dreambooth={"unet_lr": 1e-4, "weights": "float32"},
                          train={"max_train_steps": 6, "gradient_checkpointing": "off", "cuda_graphs": graphs})
        with pretended_cuda():
            host, config = TinyHost(tmp_path / f"{graphs}-data"), Config.from_dict(config)
            for _, module in host.model.modules():
                module.to("cuda", torch.float16)
            with Trainer(config, host.model, begin(config, host)) as trainer:
                rows = []
                for _ in trainer:
                    trainer.read_all()
                    rows.append(trainer.loss)
                    if trainer.step == 4:
                        with trainer.method.sampling():
                            assert torch.stack([weight.isfinite().all() for weight in host.model.unet.parameters()]).all()
                recorded = len(getattr(trainer.attachment.cuda_graphs, "recordings", ()))
        return rows, recorded

    (eager, _), (replayed, recorded) = losses(False), losses(True)
    assert recorded == 1
    assert all(math.isclose(loss, replayed_loss, rel_tol=2e-3) for loss, replayed_loss in zip(eager, replayed, strict=True)), (eager, replayed)
