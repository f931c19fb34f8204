"""What training the embedded model's UNet from the start and training it further share: a run, and its processes."""

import copy
import os
import time

import torch
from torch import distributed, nn

from lib_sdtune.formats.files import atomic


class Run:
    """Modules that learn, their averages over the last steps, the optimizer, and a file that keeps them.

    modules: by name. groups: the optimizer's, each with the `share` of the rate that is its own. decay: of the
    averages, at most.
    """

    def __init__(self, file, modules, groups, decay):
        self.file, self.modules, self.averages, self.decay = file, modules, copy.deepcopy(modules), decay
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=1e-3)
        self.parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        self.step = 0
        if file.exists():
            shares = [group["share"] for group in groups]
            state = torch.load(file, weights_only=True)
            for name, part in self.parts().items():
                part.load_state_dict(state[name])
            for group, share in zip(self.optimizer.param_groups, shares, strict=True):
                group["share"] = share
            self.step = state["step"]

    def parts(self):
        """What is kept, by its name in the file."""
        averages = {f"ema_{name}": module for name, module in self.averages.items()}
        return self.modules | averages | {"optimizer": self.optimizer}

    def keep(self):
        with atomic(self.file) as temporary:
            torch.save({name: part.state_dict() for name, part in self.parts().items()} | {"step": self.step},
                       temporary)

    def learn(self, loss, rate):
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * rate
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()
        average_gradients(self.parameters)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        with torch.no_grad():
            share = 1 - min(self.decay, (self.step + 1) / (self.step + 20))
            for average, live in zip(self.averages.values(), self.modules.values(), strict=True):
                torch._foreach_lerp_(list(average.parameters()), list(live.parameters()), share)
        self.step += 1


def train(run, steps, loss_at, rate_at, worker=0, report_every=0, report=None):
    """Takes the run to `steps`. The first worker tells how it goes, keeps the state, and calls `report`."""
    began, first, mean = time.time(), run.step, 0.0
    while run.step < steps:
        loss = loss_at(run.step)
        run.learn(loss, rate_at(run.step))
        mean += loss.item() / 25
        is_last = run.step == steps
        if worker == 0 and run.step % 25 == 0:
            print(f"{run.step} loss {mean:.4f} {(time.time() - began) / (run.step - first):.3f} s/step", flush=True)
        if worker == 0 and (run.step % 100 == 0 or is_last):
            run.keep()
        if worker == 0 and report and (run.step % report_every == 0 or is_last):
            report(run)
        mean *= run.step % 25 > 0


def average_gradients(parameters):
    """Over the workers, in one message."""
    if distributed.is_initialized():
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = torch._utils._flatten_dense_tensors(gradients)
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
        for p, gradient in zip(parameters, torch._utils._unflatten_dense_tensors(flat, gradients), strict=True):
            p.grad = gradient


def in_workers(work, arguments):
    """Calls work(worker, arguments) in `arguments.workers` processes that share each step."""
    if arguments.workers == 1:
        work(0, arguments)
    else:
        torch.multiprocessing.spawn(enter, args=(work, arguments), nprocs=arguments.workers)


def enter(worker, work, arguments):
    torch.set_num_threads(max(1, torch.get_num_threads() // arguments.workers))
    meeting = f"file://{arguments.folder.resolve()}/meeting-{os.getppid()}"
    distributed.init_process_group("gloo", meeting, rank=worker, world_size=arguments.workers)
    work(worker, arguments)
