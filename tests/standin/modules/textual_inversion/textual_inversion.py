from pathlib import Path

from safetensors.torch import load_file

from modules import shared


class Embedding:
    def __init__(self, vec, name, step=None):
        self.vec, self.name, self.step, self.shape, self.vectors, self.filename = vec, name, step, None, 0, None


def read(path):
    """The embedding of a file: a table, or one for each text encoder."""
    tables = {key: vectors.float() for key, vectors in load_file(path).items()}
    embedding = Embedding(tables if "clip_g" in tables else next(iter(tables.values())), path.stem)
    embedding.vectors, embedding.filename = len(next(iter(tables.values()))), str(path)
    embedding.shape = sum(vectors.shape[1] for vectors in tables.values())
    return embedding


class EmbeddingDatabase:
    def __init__(self):
        self.ids_lookup, self.word_embeddings, self.skipped_embeddings, self.embedding_dirs = {}, {}, {}, {}

    def add_embedding_dir(self, path):
        self.embedding_dirs[path] = path

    def register_embedding(self, embedding, model):
        return self.register_embedding_by_name(embedding, model, embedding.name)

    def register_embedding_by_name(self, embedding, model, name):
        ids = model.cond_stage_model.tokenize([name])[0]
        others = [entry for entry in self.ids_lookup.get(ids[0], []) if entry[1].name != name]
        self.ids_lookup[ids[0]] = others + ([(ids, embedding)] if embedding is not None else [])
        if embedding is None:
            self.word_embeddings.pop(name, None)
            return None
        self.word_embeddings[name] = embedding
        return embedding

    def load_textual_inversion_embeddings(self, force_reload=False):
        if not force_reload:
            return
        self.ids_lookup.clear()
        self.word_embeddings.clear()
        self.expected_shape = shared.sd_model.cond_stage_model.encode_embedding_init_text(",", 1).shape[1]
        for folder in self.embedding_dirs:
            for path in sorted(Path(folder).rglob("*.safetensors")):
                embedding = read(path)
                if embedding.shape == self.expected_shape:
                    self.register_embedding(embedding, shared.sd_model)

    def find_embedding_at_position(self, tokens, offset):
        for ids, embedding in self.ids_lookup.get(tokens[offset], []):
            if tokens[offset:offset + len(ids)] == ids:
                return embedding, len(ids)
        return None, None
