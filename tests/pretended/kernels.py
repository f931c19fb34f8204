"""What CUDA's kernels do that the CPU's do not: refuse, lay out their results, and compute in half precision."""

import torch
from torch.utils._pytree import tree_map

from tests.pretended import shapes

OLD = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 4)
HALVES = (torch.float16, torch.bfloat16)
MISSING = set()  # (operator, dtype) that this torch's CPU lacks


def answer(func, name, args, kwargs):
    """The operator's result, laid out as on a GPU."""
    if "_fused_adamw_" in name:
        return fused_adamw(*args, **kwargs)
    if name == "aten._amp_foreach_non_finite_check_and_unscale_.default":
        return unscale(*args)
    if name == "aten._amp_update_scale_.default":
        return update_scale(*args)
    if "layer_norm" in name or "group_norm" in name:
        refuse_mixed_norms(name, args)
    result = computed(func, name, args, kwargs)
    if name == "aten.convolution.default":
        return laid_out(result, channels_last(args[0]) or channels_last(args[1]))
    if name == "aten.convolution_backward.default":
        last = channels_last(args[1]) or channels_last(args[2])
        return laid_out(result[0], last), laid_out(result[1], last), result[2]
    if name in ("aten.native_group_norm.default", "aten.native_group_norm_backward.default"):
        return laid_out(result[0], False), *result[1:]
    return result


def unscale(gradients, found_inf, inverse_scale):
    """torch 2.1 has it for CUDA alone."""
    for gradient in gradients:
        gradient.mul_(inverse_scale)
        found_inf.logical_or_(~gradient.isfinite().all())


def update_scale(scale, successes, found_inf, growth, backoff, interval):
    """torch 2.1 has it for CUDA alone."""
    overflowed = found_inf > 0
    successes.copy_(torch.where(overflowed, 0, successes + 1))
    scale.mul_(torch.where(overflowed, backoff, torch.where(successes == interval, growth, 1.0)))
    successes.remainder_(interval)
    return scale


def computed(func, name, args, kwargs):
    """On the CPU, where necessary in float32: it lacks some kernels for half precision."""
    if name == "aten.bitwise_and_.Tensor" and not isinstance(args[1], torch.Tensor):
        func = torch.ops.aten.bitwise_and_.Scalar
    if "_foreach_" in name and args[0][0].device.type == "meta":  # torch 2.1 has not all of them for tensors without numbers
        if "_foreach_norm" in name:
            return [torch.empty((), dtype=tensor.dtype, device="meta") for tensor in args[0]]
        if name.split(".")[1].endswith("_"):
            return None
    tensors = flat(args)
    if tensors and tensors[0].device.type == "meta":
        return shapes.result(func, args, kwargs)
    kind = name, tensors[0].dtype if tensors else None
    if kind in MISSING:
        return widened(func, tensors, args, kwargs)
    try:
        return func(*args, **kwargs)
    except RuntimeError as error:
        in_place = name.split(".")[1].endswith("_")
        if in_place or "not implemented for" not in str(error) and "mixed dtype (CPU)" not in str(error):
            raise
    MISSING.add(kind)
    return widened(func, tensors, args, kwargs)


def widened(func, tensors, args, kwargs):
    low = next(tensor.dtype for tensor in tensors if tensor.dtype in HALVES)
    args, kwargs = tree_map(lambda leaf: leaf.float() if half(leaf) else leaf, (args, kwargs))
    return tree_map(lambda out: out.to(low) if isinstance(out, torch.Tensor) and out.dtype == torch.float32 else out, func(*args, **kwargs))


def half(leaf):
    return isinstance(leaf, torch.Tensor) and leaf.dtype in HALVES


def flat(args):
    return [leaf for arg in args for leaf in (arg if isinstance(arg, list | tuple) else [arg]) if isinstance(leaf, torch.Tensor)]


def refuse_mixed_norms(name, args):
    """The CPU normalises halves with float32 weights; a GPU does not."""
    dtypes = {tensor.dtype for tensor in flat(args) if tensor.is_floating_point()}
    if "backward" not in name and len(dtypes) > 1:
        raise RuntimeError(f"expected scalar type Half but found Float ({name}: {dtypes})")


# layouts

def channels_last(tensor):
    """What cuDNN takes for channels_last (c10's is_channels_last_strides_2d): 1x1 kernels and dims of size 1 are ambiguous."""
    if tensor is None or tensor.ndim != 4 or tensor.stride(1) == 0:
        return False
    least = 0
    for dim in (1, 3, 2, 0):
        size, stride = tensor.shape[dim], tensor.stride(dim)
        if size == 0 or stride < least or dim == 0 and least == tensor.stride(1):
            return False
        least = stride * max(size, 1)
    return True


def laid_out(tensor, last):
    if tensor is None or tensor.ndim != 4:
        return tensor
    fresh = torch.empty_like(tensor, memory_format=torch.channels_last if last else torch.contiguous_format)
    return tensor if fresh.stride() == tensor.stride() else fresh.copy_(tensor)


# optimizers

def fused_adamw(params, grads, means, squares, largest, steps, *, lr, beta1, beta2, weight_decay, eps, amsgrad, maximize,
                grad_scale=None, found_inf=None):
    """One kernel over all tensors, which before torch 2.4 wants equal strides, also of dims of size 1."""
    for param, grad, mean, square, step in zip(params, grads, means, squares, steps, strict=True):
        if len({(t.dtype, *strides(t)) for t in (param, grad, mean, square)}) > 1:
            raise RuntimeError("params, grads, exp_avgs, and exp_avg_sqs must have same dtype, device, and layout "
                               f"{tuple(param.shape)} {param.stride()} {grad.stride()} {mean.stride()} {square.stride()}")
        if param.device.type == "meta":
            continue
        if grad_scale is not None:
            grad.div_(grad_scale)
        if found_inf is not None and found_inf.item():
            continue
        grad = -grad if maximize else grad
        rate = float(lr)
        param.mul_(1 - rate * weight_decay)
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        number = step.item()
        denominator = (square.sqrt() / (1 - beta2**number) ** 0.5).add_(eps)
        param.addcdiv_(mean, denominator, value=-rate / (1 - beta1**number))


STRICT = [OLD]


def strides(tensor):
    return tensor.stride() if STRICT[0] else tuple(s for s, size in zip(tensor.stride(), tensor.shape, strict=True) if size != 1)


def invented(name, tensors, kwargs):
    """What comes back from a card that computes nothing: ones."""
    source = tensors[-1] if tensors else None
    if name == "aten._local_scalar_dense.default":
        return True if source.dtype == torch.bool else 1
    if name == "aten.copy_.default":
        return tensors[0]
    return torch.ones(tuple(source.shape), dtype=kwargs.get("dtype") or source.dtype)
