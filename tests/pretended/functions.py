"""What C++ would decide by the device, which it cannot see: moves between devices, autocast's casts, attention."""

from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

from tests.pretended.dispatch import is_cuda

T = torch.Tensor
LOWERED = {F.linear, F.conv1d, F.conv2d, F.conv_transpose2d, F.prelu, F.scaled_dot_product_attention, torch.conv2d, torch.matmul, T.matmul,
           T.__matmul__, T.__rmatmul__, torch.mm, T.mm, torch.bmm, T.bmm, torch.addmm, T.addmm, torch.baddbmm, T.baddbmm, torch.einsum}
RAISED = {F.layer_norm, F.group_norm, F.softmax, F.log_softmax, F.softplus, F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.cosine_similarity,
          torch.layer_norm, torch.group_norm, torch.softmax, T.softmax, torch.pow, T.pow, T.__pow__, torch.exp, T.exp, torch.log, T.log,
          torch.rsqrt, T.rsqrt, torch.reciprocal, T.reciprocal, torch.sum, T.sum, torch.prod, T.prod, torch.norm, T.norm, torch.cumsum,
          torch.cdist, torch.linalg.vector_norm, torch.linalg.matrix_norm}
WIDENED = {torch.cat, torch.stack, torch.addcmul, torch.addcdiv, torch.dot}
"""torch's lists of the operators that autocast runs in half precision, in float32, and in the widest type of their arguments."""
CAST = LOWERED | RAISED | WIDENED


class Functions(TorchFunctionMode):
    """While entered, Python's calls of torch act as on a GPU."""

    def __init__(self, card):
        super().__init__()
        self.card, self.casts = card, {}
        self.special = {T.to: self.to, T.cpu: lambda tensor, *a, **k: self.to(tensor, "cpu"), T.cuda: lambda tensor, *a, **k: self.to(tensor, "cuda"),
                        T.tolist: self.tolist, T.numpy: self.numpy, T.__array__: self.numpy, T.backward: self.backward, torch.autograd.grad: self.grad, T.__deepcopy__: self.deepcopy,
                        T.pin_memory: self.pin_memory, T.is_pinned: lambda tensor, *a, **k: card.is_pinned(tensor),
                        F.scaled_dot_product_attention: self.attention, torch.tensor: self.tensor, torch.as_tensor: self.tensor}
        card.forget_casts = self.casts.clear

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in self.special:
            return self.special[func](*args, **kwargs)
        if func in CAST and torch.is_autocast_enabled():
            args, kwargs = self.cast(func, args, kwargs)
        if kwargs.get("device") is None:
            return func(*args, **kwargs)
        with self.card.naming():
            return func(*args, **kwargs | {"device": indexed(kwargs["device"])})

    # moves

    def to(self, tensor, *args, copy=False, **kwargs):
        if args and isinstance(args[0], T):
            device, dtype, non_blocking, layout = args[0].device, args[0].dtype, bool(kwargs.get("non_blocking")), None
        else:
            if len(args) > 3 or len(args) == 3 and isinstance(args[0], torch.dtype):
                *args, copy = args
            device, dtype, non_blocking, layout = torch._C._nn._parse_to(*args, **kwargs)
        device = tensor.device if device is None else torch.device(indexed(device))
        dtype = tensor.dtype if dtype is None else dtype
        kept = layout in (None, torch.preserve_format) or tensor.is_contiguous(memory_format=layout)
        if device == tensor.device and dtype == tensor.dtype and kept and not copy:
            return tensor
        layout = {} if layout is None else {"memory_format": layout}
        with self.card.naming():
            return torch.ops.aten._to_copy.default(tensor, dtype=dtype, device=device, non_blocking=non_blocking, **layout)

    def tensor(self, data, *args, device=None, dtype=None, requires_grad=False, **kwargs):
        fresh = torch.tensor(data, dtype=dtype) if not isinstance(data, T) else data.detach().clone()
        return (self.to(fresh, device) if is_cuda(device) else fresh).requires_grad_(requires_grad)

    def deepcopy(self, tensor, memo):
        if not self.card.holds(tensor):
            return T.__deepcopy__(tensor, memo)
        memo[id(tensor)] = fresh = tensor.detach().clone().requires_grad_(tensor.requires_grad)
        return fresh

    def pin_memory(self, tensor, *args):
        if self.card.holds(tensor):
            raise RuntimeError(f"cannot pin 'torch.cuda.{tensor.dtype}' only dense CPU tensors can be pinned")
        if self.card.is_pinned(tensor):
            return tensor
        if any(size > 1 and stride == 0 for size, stride in zip(tensor.shape, tensor.stride(), strict=True)):
            raise RuntimeError("unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
                               "Please clone() the tensor before performing the operation.")
        pinned = tensor.detach().clone()
        self.card.pin(pinned)
        return pinned

    # what waits for the card

    def tolist(self, tensor):
        if self.card.holds(tensor):
            self.card.note("syncs", "tolist")
            self.card.note("downloads", "tolist")
            self.card.arrive()
            if self.card.backing.type == "meta":
                return torch.ones(tuple(tensor.shape), dtype=tensor.dtype).tolist()
        return tensor.detach().tolist()

    def numpy(self, tensor, *args, **kwargs):
        if self.card.holds(tensor):
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first.")
        return tensor.numpy(*args, **kwargs)

    def backward(self, tensor, gradient=None, retain_graph=None, create_graph=False, inputs=None):
        with self.in_engine():
            torch.autograd.backward(tensor, gradient, retain_graph, create_graph, inputs=inputs)

    def grad(self, *args, **kwargs):
        with self.in_engine():
            return torch.autograd.grad(*args, **kwargs)

    @contextmanager
    def in_engine(self):
        """Inside, the backward engine runs with this mode: recomputed blocks call Python functions again."""
        old = not hasattr(torch.autograd, "_engine_run_backward")  # torch before 2.4
        engine = torch.autograd.Variable._execution_engine.run_backward if old else torch.autograd._engine_run_backward

        def run(*args, **kwargs):
            with self:
                return engine(*args, **kwargs)

        place = (torch.autograd.Variable, "_execution_engine", SimpleNamespace(run_backward=run)) if old else (
            torch.autograd, "_engine_run_backward", run)
        with mock.patch.object(*place):
            yield

    # autocast

    def cast(self, func, args, kwargs):
        tensors = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, T) and self.card.holds(leaf)]
        if func in WIDENED and torch.float32 not in {tensor.dtype for tensor in tensors}:
            return args, kwargs
        dtype = half_of_autocast() if func in LOWERED else torch.float32
        return tree_map(lambda leaf: self.cast_one(leaf, dtype), (args, kwargs))

    def cast_one(self, leaf, dtype):
        if not isinstance(leaf, T) or not leaf.is_floating_point() or leaf.dtype in (dtype, torch.float64) or not self.card.holds(leaf):
            return leaf
        if not (leaf.requires_grad and leaf.is_leaf and leaf.dtype == torch.float32 and torch.is_autocast_cache_enabled()):
            return self.to(leaf, dtype)
        if id(leaf) not in self.casts:
            self.casts[id(leaf)] = leaf, self.to(leaf, dtype)
        return self.casts[id(leaf)][1]

    # attention

    def attention(self, query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, **kwargs):
        """One kernel forward and one backward, as the fused ones have it."""
        if torch.is_autocast_enabled():
            (query, key, value), _ = self.cast(F.scaled_dot_product_attention, (query, key, value), {})
        if not self.card.holds(query):
            scaled = {} if scale is None else {"scale": scale}
            return F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, **scaled)
        if not query.dtype == key.dtype == value.dtype:
            raise RuntimeError(f"Expected query, key, and value to have the same dtype, but got {query.dtype}, {key.dtype} and {value.dtype}")
        return Attention.apply(query, key, value, attn_mask, is_causal, query.shape[-1] ** -0.5 if scale is None else scale, self.card)


class Attention(torch.autograd.Function):
    """What a fused kernel keeps for its backward: the inputs, the answer, and one number a row."""

    @staticmethod
    def forward(ctx, query, key, value, mask, causal, scale, card):
        ctx.settings = mask, causal, scale, card
        with uncounted(card):
            answer = weighted(query, key, value, mask, causal, scale)
        card.note("launches", "attention forward")
        answer, rows = placed(card, answer), placed(card, query.new_empty(query.shape[:-1], dtype=torch.float32))
        ctx.save_for_backward(query, key, value, answer, rows)
        return answer

    @staticmethod
    def backward(ctx, grad):
        mask, causal, scale, card = ctx.settings
        inputs = [tensor.detach().requires_grad_() for tensor in ctx.saved_tensors[:3]]
        with uncounted(card), torch.enable_grad():
            grads = torch.autograd.grad(weighted(*inputs, mask, causal, scale), inputs, grad)
        card.note("launches", "attention backward")
        return *[placed(card, each) for each in grads], None, None, None, None


def weighted(query, key, value, mask, causal, scale):
    if query.device.type == "meta" or getattr(query, "is_meta", False):
        return query + query @ key.transpose(-1, -2) @ value * 0 if query.shape[-1] == value.shape[-1] else None
    scores = query.float() @ key.float().transpose(-1, -2) * scale
    if causal:
        ahead = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores + torch.zeros(scores.shape[-2:]).masked_fill(ahead, float("-inf")).to(scores.device)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    return (scores.softmax(-1) @ value.float()).to(value.dtype)


class uncounted:
    """What is computed inside is no part of the pretence: neither counted nor held against the card's memory."""

    def __init__(self, card):
        self.card = card

    def __enter__(self):
        self.before = self.card.counts, self.card.limit, self.card.peak
        self.card.counts, self.card.limit = None, float("inf")

    def __exit__(self, *error):
        self.card.counts, self.card.limit, self.card.peak = self.before


def placed(card, tensor):
    card.take(tensor)
    card.notice_peak()
    return tensor


def half_of_autocast():
    return torch.get_autocast_dtype("cuda") if hasattr(torch, "get_autocast_dtype") else torch.get_autocast_gpu_dtype()


def indexed(device):
    """cuda as cuda:0."""
    if isinstance(device, str):
        device = torch.device(device)
    return torch.device("cuda", 0) if isinstance(device, torch.device) and device.type == "cuda" and device.index is None else device
