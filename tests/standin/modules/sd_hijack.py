"""The WebUI's changes to a loaded model: attention by choice, embeddings inside the token table, prompts instead of tokens."""

import ldm.modules.diffusionmodules.openaimodel
import torch

from modules import devices, sd_hijack_optimizations, sd_hijack_unet
from modules.textual_inversion.textual_inversion import EmbeddingDatabase
from tests.standin.prompt_chunk import prompt_chunk

current_optimizer = None


class EmbeddingsWithFixes(torch.nn.Module):
    def __init__(self, wrapped, embeddings, textual_inversion_key="clip_l"):
        super().__init__()
        self.wrapped, self.embeddings, self.textual_inversion_key = wrapped, embeddings, textual_inversion_key

    def forward(self, input_ids):
        fixes, self.embeddings.fixes = self.embeddings.fixes, None
        embedded = self.wrapped(input_ids)
        for row, fixes_of_row in zip(embedded, fixes or [], strict=False):
            for offset, embedding in fixes_of_row:
                vec = embedding.vec[self.textual_inversion_key] if isinstance(embedding.vec, dict) else embedding.vec
                row[offset + 1:offset + 1 + embedding.vectors] = vec.to(devices.device)
        return embedded


class FrozenCLIPEmbedderWithCustomWords(torch.nn.Module):
    """One prompt to (1, 77, D), with embeddings looked up."""

    def __init__(self, wrapped, hijack):
        super().__init__()
        self.wrapped, self.hijack = wrapped, hijack
        self.id_start, self.id_end, self.id_pad = wrapped.tokenizer.start, wrapped.tokenizer.end, wrapped.tokenizer.end

    def tokenize(self, texts):
        return [list(self.wrapped.tokenizer(text)) for text in texts]

    def encode_embedding_init_text(self, init_text, nvpt):
        table = self.wrapped.transformer.text_model.embeddings.token_embedding
        return table.wrapped(torch.tensor(self.tokenize([init_text])[0][:nvpt]))

    def forward(self, texts):
        chunk, fixes = prompt_chunk(self.tokenize(texts)[0], self.hijack.embedding_db)
        ids = [self.id_start, *chunk, *[self.id_end] * (76 - len(chunk))]
        self.hijack.fixes = [fixes]
        return self.wrapped.transformer(torch.tensor([ids]))


class StableDiffusionModelHijack:
    fixes, circular_enabled = None, False

    def __init__(self):
        self.embedding_db, self.comments = EmbeddingDatabase(), []

    def hijack(self, m):
        table = m.cond_stage_model.transformer.text_model.embeddings
        table.token_embedding = EmbeddingsWithFixes(table.token_embedding, self)
        m.cond_stage_model = FrozenCLIPEmbedderWithCustomWords(m.cond_stage_model, self)
        self.apply_optimizations()
        self.layers = list(m.modules())

    def apply_optimizations(self, option=None):
        global current_optimizer
        ldm.modules.diffusionmodules.openaimodel.th = sd_hijack_unet.th
        sd_hijack_optimizations.SdOptimization().undo()
        current_optimizer = None if option == "None" else sd_hijack_optimizations.SdOptimizationSplit()
        if current_optimizer is not None:
            current_optimizer.apply()

    def apply_circular(self, enable):
        if self.circular_enabled != enable:
            self.circular_enabled = enable
            for layer in self.layers:
                if type(layer) is torch.nn.Conv2d:
                    layer.padding_mode = "circular" if enable else "zeros"


model_hijack = StableDiffusionModelHijack()
