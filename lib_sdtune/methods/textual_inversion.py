"""Textual inversion (Gal et al. 2022, arXiv 2208.01618): a few rows of the token table, for a new word, and nothing
else, learn.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lib_sdtune.artefacts import embedding as file
from lib_sdtune.data.caption_checks import add_word_templates, check_word, known_word
from lib_sdtune.data.scan import Scan
from lib_sdtune.declaration import Rate, option
from lib_sdtune.errors import UserError, require
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.formats.tensors import PRECISIONS
from lib_sdtune.loaded_model import LoadedModel, ModelSpec
from lib_sdtune.methods import registry
from lib_sdtune.methods.base import FolderOf, Method, MethodSettings
from lib_sdtune.sections.general import GeneralConfig
from lib_sdtune.sentences import phrase

log = logging.getLogger("sdtune")


@dataclass
class TextualInversionConfig(MethodSettings):
    """A new word (embedding)."""

    fewest_examples = most_examples = 5000  # Gal et al. 2022 (arXiv 2208.01618), section 4

    token: str = option(
        "", "Empty takes the run's name, which is what you type in a prompt; otherwise the word of your captions "
            "that it stands for.",
        label="Embedding word")
    init_text: str = option("*", 'A word that is near to your subject, such as "cat".', label="Initial words")
    init_embedding: str = option(
        "", "Empty starts from the text above; otherwise the embedding to go on from, by its name in the embeddings "
            "folder.",
        label="Continue embedding")
    num_vectors_per_token: int = option(1, "1 to 4 for a subject, 4 to 8 for a style.",
                                        label="Vectors per token", low=1, high=75)
    lr: Rate = option(5e-3, "5e-3, or a schedule such as 5e-3:200, 1e-3:500, 1e-4.",
                      label="Embedding learning rate", low=0, high=10)
    preserve_norm: bool = option(
        False, "Keep the vectors as long as those of ordinary words; they mix better with other words.",
        label="Keep vector length")
    save_model_as: str = option("safetensors", "safetensors; pt for old programs.",
                                label="Embedding file format", choices=["safetensors", "pt"])

    def ineffective(self) -> Iterable[tuple[str, str]]:
        if self.init_embedding:
            why = phrase('"textual_inversion.init_embedding" brings vectors of its own')
            yield from ((key, why) for key in ("init_text", "num_vectors_per_token"))

    def check(self, config: GeneralConfig) -> None:
        require(
            config.dataset.caption_dropout_rate < 1,
            '"dataset.caption_dropout_rate" is 1, so no caption would ever say the word and nothing could learn; '
            "lower it.",
        )
        require(
            not self.token or self.token.strip(),
            '"textual_inversion.token" holds nothing but blanks, which no caption can say; write the word, or leave it '
            "empty for the run's name.",
        )


@registry.register("textual_inversion")
class TextualInversion(Method):
    """`rows` (n, D) float32 stand for the word; D is the widths of all text towers together, in their order."""

    title, order = "Embedding", 3
    Settings = TextualInversionConfig
    teaches_word = True
    uses_class_pictures = False  # their captions do not say the word, so nothing of them reaches its vectors
    kind = "embeddings"

    @classmethod
    def check(cls, config: GeneralConfig, folder: FolderOf) -> None:
        if config.textual_inversion.init_embedding:
            file.tables_of(file.find(folder(cls.kind), config.textual_inversion.init_embedding))

    @classmethod
    def check_model(cls, config: GeneralConfig, folder: FolderOf, spec: ModelSpec) -> None:
        widths = [shape[1] for part, shapes in sorted(spec.shapes.items()) if part.startswith("text_encoder")
                  for name, shape in shapes.items() if name.endswith("token_embedding.weight")]
        if len(widths) > 1 and config.textual_inversion.save_model_as != "safetensors":
            raise UserError(
                'Embeddings of this model family have no .pt form; set "textual_inversion.save_model_as" to '
                '"safetensors".'
            )
        if config.textual_inversion.init_embedding:
            file.refuse_other_widths(file.find(folder(cls.kind), config.textual_inversion.init_embedding), widths)

    @classmethod
    def prepare_data(cls, config: GeneralConfig, scan: Scan) -> None:
        scan.pictures = [picture for picture in scan.pictures if not picture.is_class]
        add_word_templates(scan, config, config.word)

    @classmethod
    def check_data(cls, config: GeneralConfig, scan: Scan) -> None:
        check_word(scan, config, config.word)

    def __init__(self, config: GeneralConfig, model: LoadedModel) -> None:
        super().__init__(config, model)
        self.settings = config.textual_inversion
        self.suffix = f".{self.settings.save_model_as}"
        self.word = config.word
        self.tables = [tower.token_embedding for tower in model.towers]
        if sentence := known_word(self.word, model.tokenizer):
            log.warning("%s", sentence)
        self.steps_before = 0
        rows = self.continued() if self.settings.init_embedding else self.new()
        self.rows = nn.Parameter(rows.to(model.device, torch.float32))
        self.norms = [median_norm(table) for table in self.tables] if self.settings.preserve_norm else []
        self.constrain()
        self.start = self.file_digest()

    @property
    def widths(self) -> list[int]:
        return [table.weight.shape[1] for table in self.tables]

    def new(self) -> torch.Tensor:
        """Rows of the init text, spread over the vectors as the WebUI spreads them; zeros for no text."""
        n, text = self.settings.num_vectors_per_token, self.settings.init_text
        ids = self.model.tokenizer(text)
        if len(ids) > n:
            log.warning('"textual_inversion.init_text" has %d tokens and there %s, so it was cut to the first %d.',
                        len(ids), "is 1 vector" if n == 1 else f"are {n} vectors", n)
            ids = ids[:n]
        if not ids:
            return torch.zeros(n, sum(self.widths))
        spread = torch.tensor([ids[i * len(ids) // n] for i in range(n)], device=self.model.device)
        with torch.no_grad():
            return torch.cat([table.weight[spread].float() for table in self.tables], dim=1)

    def continued(self) -> torch.Tensor:
        path = file.find(self.model.folder(self.kind), self.settings.init_embedding)
        self.steps_before = file.steps(path)
        rows = file.read(path, self.model.family.embedding_keys, self.widths)
        if len(rows) != self.settings.num_vectors_per_token:
            log.info("Going on from %s; its vectors: %d.", path.name, len(rows))
        return rows

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"name": "embedding", "params": [self.rows], "lr": self.settings.lr, "weight_decay": 0.0}]

    @torch.no_grad()
    def constrain(self) -> None:
        if self.norms:
            for part, norm in zip(self.rows.split(self.widths, dim=1), self.norms, strict=True):
                part.mul_(norm / part.norm(dim=1, keepdim=True).clamp(min=1e-6))

    def trains_text(self, step: int) -> bool:
        return True

    def changes_text(self) -> bool:
        return True

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Captions may say the word, samples the name of the file to be."""
        embeddings, words = self.model.embeddings, {self.word, self.config.name}
        before = {word: embeddings[word] for word in words if word in embeddings}
        embeddings.update(dict.fromkeys(words, self.rows))
        try:
            yield
        finally:
            for word in words:
                del embeddings[word]
            embeddings.update(before)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"rows": self.rows.detach()}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.rows.data = tensors["rows"].to(self.rows)

    def activation_text(self) -> str:
        return self.config.name

    def tag(self, name: str) -> str:
        return name

    def export(self, path: Path, metadata: dict[str, str]) -> None:
        self.refuse_unchanged(self.start)
        precision = PRECISIONS[self.config.save.precision]
        step = self.steps_before + int(metadata.get("ss_steps") or 0)
        if self.steps_before:
            metadata = metadata | {"sdtune_total_steps": str(step)}
        file.write(path, self.rows.detach().to(precision), self.model.family.embedding_keys, self.widths,
                   metadata, name=path.stem, step=step)
        for suffix in KINDS[self.kind].endings:  # with two files of one name, which one a prompt gets would be random
            if suffix != self.suffix:
                path.with_suffix(suffix).unlink(missing_ok=True)


def median_norm(table: torch.nn.Module) -> torch.Tensor:
    """Median length of the model's own words."""
    return table.weight.detach().float().norm(dim=1).median()
