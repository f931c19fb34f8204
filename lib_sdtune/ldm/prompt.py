"""From pieces of text to the hidden states of a CLIP tower; SD1, SD2 and SDXL share it."""

import torch

from lib_sdtune.ldm.chunks import even, split
from lib_sdtune.ldm.text import hidden_states


def encode(text_model, tokenizer, prompts, embeddings, clip_skip=1):
    """(B, 77n, width) for B prompts, each a list of (text, weight).

    clip_skip: 1 is the last layer, 2 the last but one; normalised either way, as the WebUI does.
    embeddings: name -> (n, width); the name's tokens give way to these rows, and gradients flow back to them.
    """
    batch = even([split(tokenizer, pieces, embeddings) for pieces in prompts], tokenizer)
    chunks = [chunk for row in batch for chunk in row]
    states = encode_chunks(text_model, chunks, clip_skip)
    return states.reshape(len(batch), -1, states.shape[-1])


def encode_chunks(text_model, chunks, clip_skip=1):
    """(number of chunks, 77, width)."""
    norm = text_model.final_layer_norm
    device = norm.weight.device
    ids = torch.tensor([chunk.ids for chunk in chunks], device=device)
    embed = with_rows(text_model.embeddings.token_embedding(ids), chunks)
    layers = len(text_model.encoder.layers) - clip_skip + 1
    states = norm(hidden_states(text_model, ids, embed, layers=max(layers, 1))[-1])
    return emphasise(states, torch.tensor([chunk.weights for chunk in chunks], device=device))


def with_rows(embed, chunks):
    """Token embeddings (N, 77, width) in which the chunks' own rows have taken their places."""
    places = [(n, position + i) for n, chunk in enumerate(chunks) for position, table in chunk.rows for i in range(len(table))]
    if not places:
        return embed
    tables = [table.to(embed) for chunk in chunks for _, table in chunk.rows]
    at = tuple(torch.tensor(index, device=embed.device) for index in zip(*places, strict=True))
    return embed.index_put(at, torch.cat(tables))


def emphasise(states, weights):
    """States times the weights (N, 77) of their tokens, with the mean of each chunk kept: the WebUI's "Original" emphasis."""
    weighted = (weights != 1).any(dim=1)
    if not weighted.any():
        return states
    scaled = states * weights[..., None].to(states)
    scaled = scaled * (states.mean(dim=(1, 2), keepdim=True) / scaled.mean(dim=(1, 2), keepdim=True))
    return torch.where(weighted[:, None, None], scaled, states)
