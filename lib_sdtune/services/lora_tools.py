"""Finished LoRAs resized, merged and extracted while others train: on the processor, beside the model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lib_sdtune.declaration import build
from lib_sdtune.errors import UserError, refuse_empty, require
from lib_sdtune.formats.kinds import KINDS, noun
from lib_sdtune.formats.names import check_name
from lib_sdtune.lora_tools.settings import TOOLS, Extract, Merge, Resize
from lib_sdtune.progress import Progress
from lib_sdtune.sentences import phrase
from lib_sdtune.services.task import Task, TaskService

NEEDED = {"resize": ("file", "name"), "merge": ("files", "name"), "extract": ("tuned", "original", "name")}


class LoraToolService(TaskService):
    """One file at a time."""

    def start(self, data: dict) -> dict[str, Any]:
        """Begin with {"tool": "resize" | "merge" | "extract", and its settings}. UserError for what cannot be made."""
        self.refuse_a_second("A LoRA is being made already; wait for it, or stop it.")
        tool = data.get("tool")
        if not isinstance(tool, str) or tool not in TOOLS:
            raise UserError(f'"tool" must be one of {", ".join(TOOLS)}.')
        settings = build(TOOLS[tool], {key: value for key, value in data.items() if key != "tool"}, tool)
        refuse_empty({f"{tool}.{key}": getattr(settings, key) for key in NEEDED[tool]})
        check_name(settings.name, f"{tool}.name")
        kind = "checkpoints" if getattr(settings, "checkpoint", "") else "lora"
        make = {"resize": self.resize, "merge": self.merge, "extract": self.extract}[tool]
        target = self.context.host.folder(kind) / f"{settings.name}.safetensors"
        work = make(settings, target)
        self.task = Task("reading files").start(lambda progress: self.published(kind, target, work(progress)))
        return self.status()

    def published(self, kind: str, path: Path, sentence: str) -> dict[str, str]:
        """What `status` says of the finished file, after the host's lists have it."""
        from lib_sdtune.formats import tensors
        from lib_sdtune.methods.base import Artefact

        tag = KINDS[kind].prompt_tag(path.stem)
        self.context.host.publish(Artefact(path, kind, tag, metadata=tensors.Stored(path).metadata))
        return {"name": path.stem, "kind": kind, "tag": tag, "sentence": sentence}

    def status(self) -> dict[str, Any]:
        """{"work": how far it is, "made": {"name", "kind", "tag", "sentence"} of what it ended with, or null}."""
        return super().status() | {"made": self.task.result if self.task else None}

    def file(self, kind: str, name: str, key: str) -> Path:
        require(name.strip(), f'"{key}" is empty; give the name of {noun(KINDS[kind].content)}.')
        return KINDS[kind].find(self.context.host.folder(kind), name.strip())

    def resize(self, settings: Resize, target: Path) -> Callable[[Progress], str]:
        from lib_sdtune.lora_tools.output import check_target
        from lib_sdtune.lora_tools.resize import resize

        source = self.file("lora", settings.file, "resize.file")
        check_target(target, "lora", [source], settings.overwrite, "resize.overwrite")

        def work(progress: Progress) -> str:
            rule = settings.dynamic_method
            result = resize(source, target, settings.dim, settings.conv_dim or None, rule,
                            settings.dynamic_param if rule else None, settings.save_precision,
                            overwrite=settings.overwrite, progress=progress)
            least = min(result.norm_kept, default=1)
            lowest, highest = min(result.dims), max(result.dims)
            ranks = phrase(f"Ranks: {lowest} to {highest}") if lowest != highest else phrase(f"Rank: {lowest}")
            return f"{ranks}; of the worst layer's norm {100 * least:.1f} % is kept."

        return work

    def merge(self, settings: Merge, target: Path) -> Callable[[Progress], str]:
        from lib_sdtune.lora_tools.merge import merge
        from lib_sdtune.lora_tools.merge_into_checkpoint import merge_into_checkpoint, said_of_averages
        from lib_sdtune.lora_tools.output import check_target

        require(settings.files, '"merge.files" is empty; name one LoRA or more.')
        sources = [self.file("lora", name, "merge.files") for name, _ in settings.files]
        ratios = [weight for _, weight in settings.files]
        base = self.file("checkpoints", settings.checkpoint, "merge.checkpoint") if settings.checkpoint else None
        require(not base or not (settings.dim or settings.conv_dim),
                '"merge.dim" is a LoRA\'s, and "merge.checkpoint" makes a checkpoint; leave one of them out.')
        check_target(target, "checkpoints" if base else "lora", [*sources, *([base] if base else [])],
                     settings.overwrite, "merge.overwrite")
        common: dict[str, Any] = {"save_precision": settings.save_precision, "overwrite": settings.overwrite}

        def work(progress: Progress) -> str:
            if base:
                count = merge_into_checkpoint(base, sources, ratios, target, progress=progress, **common)
                return f"Tensors of the checkpoint that changed: {count}.{said_of_averages(base)}"
            count = merge(sources, ratios, target, settings.dim, settings.conv_dim, progress=progress, **common)
            return phrase(f"Layers merged: {count}.")

        return work

    def extract(self, settings: Extract, target: Path) -> Callable[[Progress], str]:
        from lib_sdtune.lora_tools.extract import extract
        from lib_sdtune.lora_tools.output import check_target

        original = self.file("checkpoints", settings.original, "extract.original")
        tuned = self.file("checkpoints", settings.tuned, "extract.tuned")
        check_target(target, "lora", [original, tuned], settings.overwrite, "extract.overwrite")

        def work(progress: Progress) -> str:
            count = extract(original, tuned, target, settings.dim, settings.conv_dim, min_diff=settings.min_diff,
                            save_precision=settings.save_precision, overwrite=settings.overwrite, progress=progress)
            return phrase(f"Layers extracted: {count}.")

        return work
