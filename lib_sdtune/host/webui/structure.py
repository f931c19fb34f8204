"""What the model is made of: put back exactly, whatever a failed training left on it."""

from contextlib import contextmanager

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
TABLES = ("_modules", "_parameters", "_buffers")


@contextmanager
def kept(sd_model):
    """Children, parameters, hooks, own forwards, modes, gradients, formats and places are as before afterwards.

    Inside, no module has a forward of its own: extensions such as Hypertile hang theirs on attention layers for good.
    """
    before = [Record(module) for module in sd_model.modules()]
    weights = [Weight(tensor) for tensor in sd_model.parameters()]
    try:
        for record in before:
            record.module.__dict__.pop("forward", None)
        yield
    finally:
        for record in before:
            record.restore()
        for weight in weights:
            weight.restore()


class Record:
    def __init__(self, module):
        own = vars(module)
        self.module, self.training, self.forward = module, module.training, own.get("forward")
        self.tables = {name: dict(own[name]) for name in (*TABLES, *HOOKS) if name in own}

    def restore(self):
        own = vars(self.module)
        own["training"] = self.training
        own.pop("forward", None)
        if self.forward is not None:
            own["forward"] = self.forward
        for name, entries in self.tables.items():
            table = own[name]
            if not same(table, entries):
                table.clear()
                table.update(entries)


def same(table, entries):
    return table.keys() == entries.keys() and all(table[key] is value for key, value in entries.items())


class Weight:
    """A parameter's flags; its numbers are the business of whoever changes them."""

    def __init__(self, tensor):
        self.tensor, self.learns, self.grad = tensor, tensor.requires_grad, tensor.grad
        self.dtype, self.device = tensor.dtype, tensor.device

    def restore(self):
        if self.tensor.dtype != self.dtype or self.tensor.device != self.device:
            self.tensor.data = self.tensor.data.to(self.device, self.dtype)
        self.tensor.requires_grad_(self.learns)
        self.tensor.grad = self.grad
