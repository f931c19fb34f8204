"""What the WebUI lets through (`modules/safe.py` of 1.10.1): names of zip members, and globals of the pickle."""

import collections
import pickle
import re
import zipfile

import torch

MEMBERS = re.compile(r"^([^/]+)/((data/\d+)|version|byteorder|.data/serialization_id|(data\.pkl))$")
GLOBALS = {("collections", "OrderedDict"), ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter"),
           *(("torch", name) for name in ("FloatStorage", "HalfStorage", "BFloat16Storage", "LongStorage", "float32"))}


def check_pt(path):
    """Raise for what the WebUI would call malicious."""
    with zipfile.ZipFile(path) as archive:
        strange = [name for name in archive.namelist() if not MEMBERS.match(name)]
        assert not strange, f"bad file inside: {strange}"
        (pickled,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        with archive.open(pickled) as file:
            return Restricted(file).load()


class Restricted(pickle.Unpickler):
    def persistent_load(self, saved_id):
        assert saved_id[0] == "storage"
        return torch.storage.TypedStorage(_internal=True)

    def find_class(self, module, name):
        assert (module, name) in GLOBALS, f"global {module}/{name} is forbidden"
        if module == "collections":
            return collections.OrderedDict
        return getattr(torch._utils if module == "torch._utils" else torch, name)
