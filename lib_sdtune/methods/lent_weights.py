"""A model's own weights while others train in their place: the originals are in a file, and come back bit for bit."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from lib_sdtune.errors import DiskFull, FileRefused, RunError
from lib_sdtune.failures import out_of_memory
from lib_sdtune.formats.backup import TensorBackup
from lib_sdtune.formats.files import remove_if_empty
from lib_sdtune.optim.master_weights import TrainedWeight


class LentWeights:
    """Of each of `learning` (name -> `TrainedWeight`), the host's own tensor and what trains in its place.

    training_dtype: the number format of the weights while they learn. make_room: frees what others hold where the
    originals lack memory on their device.
    """

    def __init__(
        self, learning: Mapping[str, TrainedWeight], training_dtype: torch.dtype, make_room: Callable[[], None]
    ) -> None:
        self.learning, self.training_dtype, self.make_room = learning, training_dtype, make_room
        self.dtypes = {name: trained.weight.dtype for name, trained in learning.items()}  # a host may mix them
        self.tensors: dict[str, torch.Tensor] = {}  # the host's own, while others stand in their place
        self.lacked: Exception | None = None  # why an original found no memory on its device
        self.values_to_load: Mapping[str, torch.Tensor] | None = None
        self.started = False

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from these trained values when the weights are next replaced."""
        self.values_to_load, self.started = tensors, True

    @contextmanager
    def kept(self, folder: Path) -> Iterator[None]:
        """Inside, `replaced` may be entered; the originals are in the folder. RunError where they did not come back."""
        self.originals = TensorBackup(folder / "originals.safetensors")
        self.trained_backup = TensorBackup(folder / "trained.safetensors")
        self.originals.write(self.weights())
        self.originals.check()
        try:
            yield
        finally:
            if self.lacked and not out_of_memory(self.lacked):
                raise self.lacked
            emptied = any(map(is_released, self.weights().values()))  # to read one would end the whole program
            if emptied or self.lacked or not self.originals.holds(self.weights()):
                raise RunError(
                    "The checkpoint could not be put back as it was, perhaps because another program has taken the "
                    "GPU's memory; choose another checkpoint and then this one again, which reads it from its file."
                ) from self.lacked
            self.originals.delete()
            self.trained_backup.delete()
            remove_if_empty(folder, folder.parent.parent)  # another process of the run may have its own beside it

    def weights(self) -> dict[str, torch.Tensor]:
        """What the model has at this moment."""
        return {name: trained.weight.data for name, trained in self.learning.items()}

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """The trained weights in the model, and they learn; afterwards the originals."""
        try:
            self.put_in_trained()
            for trained in self.learning.values():
                trained.weight.requires_grad_(True)
            yield
        finally:
            self.put_in_originals()

    @torch.no_grad()
    def put_in_trained(self) -> None:
        for name, trained in self.learning.items():
            tensor = trained.weight.data
            converted = tensor.dtype != self.training_dtype
            if converted:
                self.tensors[name] = tensor
                trained.weight.data = tensor.to(self.training_dtype)
            if not self.started:
                trained.load_values(tensor)
            if converted:
                release(tensor)
        if self.started:
            self.resume_trained()
        self.started = True

    def resume_trained(self) -> None:
        """Take over the trained weights from a state, or those that were stored. RunError where the disk changed them.
        """
        if self.values_to_load is not None:
            for name, trained in self.learning.items():
                trained.load_values(self.values_to_load[name])
            self.values_to_load = None
            return
        for name, trained in self.learning.items():
            if trained.lives_in_model:
                trained.load_values(self.trained_backup.checked(name))
            else:
                trained.update_models([trained])

    @torch.no_grad()
    def put_in_originals(self) -> None:
        """The originals again; first all that training holds in their place is freed, so that there is room for them.

        No tensor is kept beside the model's: where a host moves its modules, a second one would hold the memory.
        """
        for name, trained in self.learning.items():
            trained.drop_gradient()
            trained.weight.data = self.tensors.pop(name, trained.weight.data)
        more_room = [self.make_room]  # called once: what it frees stays free
        for name, tensor in self.weights().items():
            # a weight without memory would end the whole program at the next picture, also where the file is broken
            if error := lack_of_memory(tensor, more_room):
                self.learning[name].weight.data, self.lacked = torch.empty_like(tensor, device="cpu"), error
        originals = self.originals.tensors()
        for name, tensor in self.weights().items():
            tensor.copy_(originals[name])

    def store_trained(self) -> None:
        """While replaced: the trained weights, as far as they are in the model alone, go to a file, or to memory if the
        disk is full or refuses it.
        """
        values = {name: trained.full_precision() for name, trained in self.learning.items() if trained.lives_in_model}
        if not values:  # copies of whole models are large
            return
        try:
            self.trained_backup.write(values)
        except (DiskFull, FileRefused):
            self.values_to_load = {name: value.to("cpu", copy=True) for name, value in values.items()}

    @contextmanager
    def showing(self, chosen: Mapping[str, torch.Tensor] | None, dtype: torch.dtype | None = None) -> Iterator[None]:
        """While replaced: the model has the `chosen` values, or else the trained ones, in that number format, or else
        each in the host's own.
        """
        weights: dict[str, torch.Tensor] = {}
        try:
            with torch.no_grad():
                for name, trained in self.learning.items():
                    weights[name] = trained.weight.data.to("cpu", copy=True)
                    exact = weights[name] if trained.lives_in_model else trained.full_precision()
                    self.exchange(name, exact if chosen is None else chosen[name], dtype or self.dtypes[name])
            yield
        finally:
            with torch.no_grad():
                for name, weight in weights.items():
                    self.exchange(name, weight, weight.dtype)

    def exchange(self, name: str, values: torch.Tensor, dtype: torch.dtype) -> None:
        """Give a weight other values, in place or with its memory freed first; also one that found no memory before."""
        weight = self.learning[name].weight
        if weight.dtype == dtype and weight.shape == values.shape:
            weight.data.copy_(values)
            return
        weight.data = weight.data.new_empty(0)
        weight.data = values.to(weight.device, dtype, copy=True)


def lack_of_memory(tensor: torch.Tensor, more_room: list[Callable[[], None]]) -> Exception | None:
    """Give a lent tensor its memory again; the device's error where it cannot. Where there is no room, the first of
    `more_room` is taken out and called: it frees what others hold, as far as the computer's memory takes it.
    """
    while is_released(tensor):  # a larger storage is one that others share
        try:
            tensor.untyped_storage().resize_(tensor.nbytes)
        except Exception as error:
            if not more_room or not out_of_memory(error):
                return error
            make_room = more_room.pop()
            try:
                make_room()
            except Exception as no_room:
                if not out_of_memory(no_room):
                    return no_room
    return None


def is_released(tensor: torch.Tensor) -> bool:
    """Whether its values have no memory."""
    return bool(tensor.numel()) and not tensor.untyped_storage().nbytes()


def release(tensor: torch.Tensor) -> None:
    """Free the memory of a lent tensor whose weight now lives elsewhere, but keep the tensor itself for those who
    know it.
    """
    storage = tensor.untyped_storage()
    if storage.nbytes() == tensor.nbytes:
        with suppress(RuntimeError):  # memory that is not torch's own, such as a mapped file's
            storage.resize_(0)
