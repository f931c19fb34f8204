"""What a computing device can do, asked in one place: torch's answers differ between versions and between makers."""

from contextlib import AbstractContextManager, nullcontext, suppress

import torch

from lib_sdtune.errors import UserError

HALVES = (torch.float16, torch.bfloat16)
FIRST_WITH_BFLOAT16 = (8, 0)  # compute capability; below it newer torch says yes and emulates, slower than float32
FIRST_AMD_WITH_BFLOAT16 = (11, 0)  # RDNA 3, gfx1100


def local_device(rank: int) -> torch.device:
    """The GPU of one of several processes on this machine (torchrun's LOCAL_RANK). UserError if there are too few."""
    count = torch.cuda.device_count()
    if rank >= count:
        raise UserError(f"This machine has {count} GPU{'s' * (count != 1)} and more processes were started; "
                        f"start torchrun with --nproc-per-node {count}.")
    return torch.device("cuda", rank)


def index_of(device: torch.device) -> int:
    """The number of a CUDA device; "cuda" alone is the current one. torch < 2.3 wants it for questions about memory."""
    if device.index is not None:
        return device.index
    return torch.cuda.current_device() if torch.cuda.is_available() else 0


def has_fused_attention(device: torch.device) -> bool:
    """Whether attention there keeps no map of tokens x tokens for the backward pass."""
    return device.type in ("cuda", "cpu")


def has_own_memory(device: torch.device) -> bool:
    """Whether what leaves the device's memory for the computer's makes room there. Apple's GPUs and CPUs share it."""
    return device.type not in ("cpu", "mps")


def frees_storages(device: torch.device) -> bool:
    """Whether a tensor there can give its memory back and stay (`resize_` of its storage), and that makes room.
    DirectML's tensors have no storage that could be asked for.
    """
    return device.type in ("cuda", "xpu")


def total_memory(device: torch.device) -> int:
    """Bytes of a CUDA device."""
    return torch.cuda.get_device_properties(index_of(device)).total_memory


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device itself computes in bfloat16."""
    if device.type != "cuda":
        return device.type in ("cpu", "xpu")
    if not torch.cuda.is_available():  # estimates speak of GPUs that are not here
        return False
    first = FIRST_AMD_WITH_BFLOAT16 if torch.version.hip else FIRST_WITH_BFLOAT16
    return torch.cuda.get_device_capability(index_of(device)) >= first or is_compute_card(device)


def is_compute_card(device: torch.device) -> bool:
    """AMD's Instinct cards with matrix units count from 9 as Vega does, and compute in bfloat16 unlike it."""
    name = getattr(torch.cuda.get_device_properties(index_of(device)), "gcnArchName", "")
    return bool(torch.version.hip) and name.startswith(("gfx908", "gfx90a", "gfx94", "gfx95"))


def float16_is_broken(device: torch.device) -> bool:
    """GeForce GTX 16 cards give NaN in float16; the WebUI knows them by the same facts (`devices.cuda_no_autocast`)."""
    if device.type != "cuda" or not torch.cuda.is_available():
        return False
    number = index_of(device)
    name = torch.cuda.get_device_name(number)
    return torch.cuda.get_device_capability(number) == (7, 5) and name.startswith("NVIDIA GeForce GTX 16")


def has_autocast(device: torch.device) -> bool:
    """Whether `torch.autocast` works there. MPS and DirectML have none, or none that training can rely on."""
    if device.type in ("cuda", "cpu"):
        return True
    if device.type != "xpu":
        return False
    try:
        torch.autocast("xpu", dtype=torch.bfloat16)
    except (RuntimeError, AttributeError, TypeError):  # a torch without it
        return False
    return True


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Inside, operators on the device compute in the number format of their arguments, whatever is on around it."""
    return torch.autocast(device.type, enabled=False) if has_autocast(device) else nullcontext()


def can_recompute(device: torch.device) -> bool:
    """Whether `torch.utils.checkpoint` works with tensors there. It looks for a module of torch that is called as the
    device's type, and for DirectML ("privateuseone") there is none, at least up to torch 2.13.
    """
    return hasattr(torch, device.type)


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The half precision that autocast casts to now, for operators on the device; None where it is off."""
    if not has_autocast(device):
        return None
    if hasattr(torch, "get_autocast_dtype"):  # since torch 2.4
        return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None
    if device.type == "cuda":
        return torch.get_autocast_gpu_dtype() if torch.is_autocast_enabled() else None
    if device.type == "cpu":
        return torch.get_autocast_cpu_dtype() if torch.is_autocast_cpu_enabled() else None
    return torch.xpu.get_autocast_xpu_dtype() if torch.xpu.is_autocast_xpu_enabled() else None


def upload(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on a device, without waiting for the device: a GPU fetches it from pinned memory when it comes to
    it.
    """
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def empty_cache(device: torch.device) -> None:
    """Give back what torch's allocator keeps of the device's memory for later, if it can: after a capture of a CUDA
    graph that failed it never can again.
    """
    module = getattr(torch, device.type, None)
    if hasattr(module, "empty_cache"):
        with suppress(RuntimeError):
            module.empty_cache()


def manual_seed(device: torch.device, seed: int) -> None:
    """Seed what layers draw by themselves on this device alone: `torch.manual_seed` asks all, at milliseconds each."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(index_of(device)):
            torch.cuda.manual_seed(seed)
    elif device.type in ("mps", "xpu"):
        getattr(torch, device.type).manual_seed(seed)


def compute_dtype(setting: str, device: torch.device, weights: torch.dtype) -> torch.dtype:
    """What the forward computes in: torch.float32, float16 or bfloat16. UserError for one that the device lacks.

    "no" is float32 also where the weights are halves, as in sd-scripts: float16 without loss scaling loses half of the
    gradients. "auto" stays with the weights' own half precision, and takes bfloat16 for float32 weights on a GPU with
    it; on the CPU that is slower. Devices without autocast compute in float32.
    """
    if setting in ("fp16", "bf16"):
        refuse_what_it_lacks(setting, device)
        return torch.float16 if setting == "fp16" else torch.bfloat16
    if setting == "no" or not has_autocast(device) or float16_is_broken(device):
        return torch.float32
    if weights == torch.bfloat16 and not has_bfloat16(device):
        return torch.float16
    if weights in HALVES:
        return weights
    return torch.bfloat16 if device.type == "cuda" and has_bfloat16(device) else torch.float32


def refuse_what_it_lacks(setting: str, device: "torch.device") -> None:
    why = ""
    if not has_autocast(device):
        why = f"training on {device.type} works in float32 only"
    elif setting == "bf16" and not has_bfloat16(device):
        why = "this GPU does not compute in bfloat16"
    elif setting == "fp16" and float16_is_broken(device):
        why = "GeForce GTX 16 cards give wrong numbers in it"
    if why:
        raise UserError(f'"train.mixed_precision" is "{setting}", but {why}; set it to "auto".')
