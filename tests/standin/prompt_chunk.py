"""A prompt's tokens as a text encoder reads them: embeddings in the places of their names."""


def prompt_chunk(tokens, database):
    """(at most 75 ids, [(offset, embedding)]); database: has `find_embedding_at_position`."""
    chunk, fixes, position = [], [], 0
    while position < len(tokens):
        embedding, length = database.find_embedding_at_position(tokens, position)
        if embedding is None:
            chunk.append(tokens[position])
            position += 1
        else:
            fixes.append((len(chunk), embedding))
            chunk += [0] * embedding.vectors
            position += length
    return chunk[:75], fixes
