"""Forge's way from a prompt to ids: an engine around each text encoder, with a database of embeddings of its own."""

from pathlib import Path

from torch import nn

from tests.standin.forks import sdxl


def textual_inversion():
    from modules.textual_inversion import textual_inversion

    return textual_inversion


class TextProcessing:
    """The tokenizer around a text encoder, with a database of embeddings of its own."""

    def __init__(self, encoder, shape, key="clip_l", pad=None):
        self.encoder, self.tokenizer = encoder, sdxl.tokenizer()
        self.id_start, self.id_end = self.tokenizer.start, self.tokenizer.end
        self.id_pad = self.id_end if pad is None else pad
        self.embeddings = Embeddings(self.tokenizer, shape)
        self.embeddings.load_textual_inversion_embeddings()
        table = encoder.transformer.text_model.embeddings
        table.token_embedding = TokenEmbedding(table.token_embedding, self.embeddings, key)

    def tokenize(self, texts):
        return [list(self.tokenizer(text)) for text in texts]

    def ids(self, text):
        """(1, 77); the places of embeddings are told to the token table, whose half precision ends at the first prompt."""
        self.encoder.transformer.text_model.embeddings.float()
        ids, self.embeddings.fixes = sdxl.framed(self, self.tokenize([text])[0], self.embeddings)
        return ids


class Embeddings:
    """Read once, when the model is loaded."""

    def __init__(self, tokenizer, shape):
        self.tokenizer, self.shape, self.fixes, self.word_embeddings = tokenizer, shape, [], {}

    def register_embedding_by_name(self, embedding, name):
        self.word_embeddings.pop(name, None)
        if embedding is not None:
            self.word_embeddings[name] = embedding

    def load_textual_inversion_embeddings(self):
        from modules import shared

        self.word_embeddings.clear()
        for path in sorted(Path(shared.cmd_opts.embeddings_dir).rglob("*.safetensors")):
            embedding = textual_inversion().read(path)
            if embedding.shape == self.shape:
                self.register_embedding_by_name(embedding, path.stem)

    def find_embedding_at_position(self, tokens, offset):
        for name, embedding in self.word_embeddings.items():
            ids = list(self.tokenizer(name))
            if tokens[offset:offset + len(ids)] == ids:
                return embedding, len(ids)
        return None, None


class TokenEmbedding(nn.Module):
    """Shares the table's weight under a second name."""

    def __init__(self, wrapped, embeddings, key):
        super().__init__()
        self.wrapped, self.embeddings, self.key, self.weight = wrapped, embeddings, key, wrapped.weight

    def forward(self, ids):
        fixes, self.embeddings.fixes = self.embeddings.fixes, []
        embedded = self.wrapped(ids)
        for offset, embedding in fixes:
            vec = embedding.vec[self.key] if isinstance(embedding.vec, dict) else embedding.vec
            embedded[0, offset + 1:offset + 1 + embedding.vectors] = vec.to(embedded)
        return embedded
