"""CUDA graphs: the UNet's forward and backward as two recordings for each shape, which a GPU replays by itself.

A step of a LoRA asks for thousands of small kernels, and a fast GPU waits for Python between them. `torch.cuda.
make_graphed_callables` records them once (https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
"""

import gc
import inspect
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import chain
from typing import Any

import torch

from lib_sdtune.config import Config
from lib_sdtune.devices import empty_cache
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.methods.base import Method
from lib_sdtune.networks.base import Adapter, wrapped_forward
from lib_sdtune.sentences import phrase
from lib_sdtune.swap import replaced
from lib_sdtune.training.memory.estimate import CAREFUL, needed, room
from lib_sdtune.training.optimizer_steps.optimizer_step import OptimizerStep

EAGER = 2  # forwards of a shape before it is recorded: what comes once is not worth it
TOLERANCE = 0.02  # between the recording's gradients and those without, as a share of their norm
SHARES_POOL = "pool" in inspect.signature(torch.cuda.make_graphed_callables).parameters
log = logging.getLogger("sdtune")


def choose(config: Config, model: LoadedModel, method: Method, optimizer_step: OptimizerStep, dtype: torch.dtype,
           recomputing: bool, networks: Iterable[Adapter]) -> "NoGraphs | CudaGraphs":
    """`CudaGraphs` where the settings ask for them and nothing in the run stands in their way, which is said.

    What stands in the way: a device without them, activations that are made again, parts of the model that wait in the
    computer's memory, gradients that add up in place, too little memory for all of them at once (the backward pass that
    is replayed leaves every gradient before the first weight is stepped), and one of the `networks` on the model that
    a recording cannot hold: to try would leave the program unable to free GPU memory.
    """
    if not config.train.cuda_graphs:
        return NoGraphs()
    unrecorded = sorted({network.name for network in networks if not network.can_be_recorded})
    on_cuda = model.device.type == "cuda"
    reasons = {
        phrase("only NVIDIA GPUs record them"): not on_cuda,
        phrase("activations are made again to save memory"): recomputing,
        phrase("parts of the model wait outside the GPU"): bool(model.offloaded),
        phrase("the gradients of all weights at once would not fit"):
            on_cuda and method.fused_backward and not fits(config, model, method),
        phrase("several GPUs train together"): optimizer_step.world.size > 1,
        phrase("gradients are accumulated"): config.train.gradient_accumulation_steps > 1,
        phrase(f"the network {', '.join(unrecorded)} inverts matrices, which they cannot record"): bool(unrecorded),
    }
    for reason, applies in reasons.items():
        if applies:
            log.warning('"train.cuda_graphs" has no effect here: %s.', reason)
            return NoGraphs()
    return CudaGraphs(model.unet, optimizer_step.leaves, dtype)


def fits(config: Config, model: LoadedModel, method: Method) -> bool:
    """Whether the gradients of all that learns have room beside what a step needs that has them one after another."""
    gradients = sum(trained.weight.numel() for trained in method.trained_weights()) * method.dtype.itemsize
    return needed(config, model.spec(), recomputing=False) + gradients <= CAREFUL * room(model.device)


class NoGraphs(nullcontext):
    """In the place of `CudaGraphs`: every forward is asked of the UNet itself."""

    def aside(self) -> AbstractContextManager:
        return nullcontext()


class CudaGraphs:
    """A context manager: inside, forwards of `unet` that gradients go through are replayed where their shape came often
    enough.

    leaves: answers the tensors that learn. dtype: the forward's.
    A recording is used only after it gave the gradients that the forward gives without it, and while the tensors that
    it reads are where they were. An exception while recording switches all of it off; the run goes on as without.
    """

    def __init__(self, unet: torch.nn.Module, leaves: Callable[[], Sequence[torch.Tensor]], dtype: torch.dtype) -> None:
        self.unet, self.leaves, self.dtype = unet, leaves, dtype
        self.active, self.waiting_for_backward = True, False
        self.forget()

    def forget(self) -> None:
        self.calls: Counter = Counter()
        self.recordings: dict[tuple, Callable] = {}
        self.recorded_addresses: list[int] = []
        self.pool: Any = None

    def __enter__(self) -> "CudaGraphs":
        self.wrapping = wrapped_forward(self.unet, self.stand_before)
        self.wrapping.__enter__()
        return self

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Inside, the UNet's forward is the one below, for others to take off or put on; recordings are kept."""
        self.wrapping.__exit__(None, None, None)
        try:
            yield
        finally:
            self.wrapping = wrapped_forward(self.unet, self.stand_before)
            self.wrapping.__enter__()

    def stand_before(self, forward: Callable) -> "CudaGraphs":
        """This object, which answers in the place of the UNet's `forward`."""
        self.forward = forward
        return self

    def __exit__(self, *error: Any) -> None:
        self.wrapping.__exit__(None, None, None)
        self.waiting_for_backward = False
        if self.recordings:
            self.release()
        self.forget()  # elsewhere the weights may get other addresses

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor | None = None, context: torch.Tensor | None = None,
                 y: torch.Tensor | None = None, **more: Any) -> torch.Tensor:
        tensors = [tensor for tensor in (x, timesteps, context, y) if tensor is not None]
        usable = self.active and torch.is_grad_enabled() and timesteps is not None and context is not None and not more
        if not usable or self.waiting_for_backward:
            return self.forward(x, timesteps, context, **more if y is None else {"y": y, **more})
        if self.recordings and self.addresses() != self.recorded_addresses:
            self.release()
        key = tuple((tensor.shape, tensor.dtype, tensor.requires_grad) for tensor in tensors)
        if key not in self.recordings:
            self.calls[key] += 1
            if self.calls[key] <= EAGER or not self.record(key, tensors):
                return self.without_recording(*tensors)
        output = self.recordings[key](*tensors, *self.learning())
        self.waiting_for_backward = True  # a second replay would overwrite what the backward pass reads
        output.register_hook(self.backward_began)
        return output

    def backward_began(self, gradient: torch.Tensor) -> None:
        self.waiting_for_backward = False

    def addresses(self) -> list[int]:
        """Where in memory the tensors are that a recording reads: pictures drawn meanwhile may have moved them."""
        tensors = chain(self.unet.parameters(), self.unet.buffers(), self.leaves())
        return [tensor.data_ptr() for tensor in tensors]

    def learning(self) -> list[torch.Tensor]:
        return [leaf for leaf in self.leaves() if leaf.requires_grad]

    def plain(self, *tensors: torch.Tensor) -> torch.Tensor:
        """The forward of (x, timesteps, context) or (x, timesteps, context, y), and of what else it reads by itself."""
        return self.forward(*tensors[:3], **{"y": tensors[3]} if len(tensors) > 3 else {})

    def without_recording(self, *tensors: torch.Tensor) -> torch.Tensor:
        """The forward. Where it draws random numbers, a recording could not repeat those of a resumed run."""
        before = torch.cuda.get_rng_state(tensors[0].device)
        output = self.plain(*tensors)
        if not torch.equal(before, torch.cuda.get_rng_state(tensors[0].device)):
            self.stop("parts of the network are left out at random")
        return output

    def record(self, key: tuple, tensors: Sequence[torch.Tensor]) -> bool:
        """Whether there is a recording of this shape now that can be trusted."""
        reason = ""
        try:
            with self.uncached_autocast(), torch.cuda.device(tensors[0].device):
                self.rehearse(tensors)
                recording = self.recording(tensors)
                difference = self.difference(recording, tensors)
        except RuntimeError as error:  # out of memory is one of them
            reason = str(error).split("\n")[0].rstrip(".")
        else:
            if difference <= TOLERANCE:
                self.recordings[key], self.recorded_addresses = recording, self.addresses()
            else:
                reason = f"a recording's gradients differ by {difference:.1%}"
            del recording
        if reason:
            self.stop(reason)  # not in `except`: the error holds what there is to release
        return not reason

    def rehearse(self, tensors: Sequence[torch.Tensor]) -> None:
        """RuntimeError where forward or backward would wait for the GPU: a capture that fails by that leaves all of the
        program unable to free GPU memory, at least up to torch 2.13.
        """
        with waiting_refused():
            self.gradients(self.plain, tensors)

    def recording(self, tensors: Sequence[torch.Tensor]) -> Callable:
        leaves, count = self.learning(), len(tensors)
        samples = [tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in tensors]
        if SHARES_POOL and self.pool is None:
            self.pool = torch.cuda.graph_pool_handle()
        # the stream is put back also where a capture fails: torch does not
        with capturing_this_thread(), torch.cuda.stream(torch.cuda.current_stream()):
            return torch.cuda.make_graphed_callables(
                lambda *inputs: self.plain(*inputs[:count]), (*samples, *leaves), allow_unused_input=True,
                **{"pool": self.pool} if SHARES_POOL else {})

    def uncached_autocast(self) -> AbstractContextManager:
        """A recording cannot read casts that were made outside."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast("cuda", dtype=self.dtype, cache_enabled=False)

    def gradients(self, forward: Callable, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Of the mean square of what `forward` answers, with respect to the inputs and leaves that learn."""
        inputs = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in tensors]
        differentiated = [*(tensor for tensor in inputs if tensor.requires_grad), *self.learning()]
        loss = forward(*inputs).float().square().mean()
        gradients = torch.autograd.grad(loss, differentiated, allow_unused=True)
        return [gradient for gradient in gradients if gradient is not None]

    def difference(self, recording: Callable, tensors: Sequence[torch.Tensor]) -> float:
        """The norm of the difference of gradients with and without the recording, relative to the latter's norm."""
        expected = self.gradients(self.plain, tensors)
        replayed = self.gradients(lambda *inputs: recording(*inputs, *self.learning()), tensors)
        squares = [torch.stack([(gradient.float() - replay.float()).square().sum(), gradient.float().square().sum()])
                   for gradient, replay in zip(expected, replayed, strict=True)]
        difference, norm = torch.stack(squares).sum(0).sqrt()
        return float(difference / norm.clamp(min=1e-20))

    def release(self) -> None:
        """Free what the recordings hold, about a step's activations and all gradients: they are in cycles of
        references, and would stay until Python collects those by itself.
        """
        self.recordings.clear()
        gc.collect()
        empty_cache(torch.device("cuda"))

    def stop(self, reason: str) -> None:
        self.active = False
        self.release()
        self.forget()
        log.warning("CUDA graphs are left off for the rest of this run: %s.", reason)


def capturing_this_thread() -> AbstractContextManager[None]:
    """Inside, a capture is not spoilt by other threads that allocate or free GPU memory, as the WebUI does after each
    call of its page: `make_graphed_callables` has no argument for it, but finds `torch.cuda.graph` by its name.
    """
    return replaced(torch.cuda, "graph", partial(torch.cuda.graph, capture_error_mode="thread_local"))


@contextmanager
def waiting_refused() -> Iterator[None]:
    """Inside, an operator that makes the CPU wait for the GPU raises RuntimeError, whichever thread asks for it."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says once that it may miss some
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
