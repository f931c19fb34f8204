"""Teaches the embedded text encoder to read, before it meets the UNet: python tools/pretrain_text.py FOLDER [--steps
300].

Every position from the end token on learns to hold, linearly, which form, colour and background the caption names. So
cross-attention finds the words at once, and the UNet's time goes into drawing. A few minutes on two cores.
"""

import argparse
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib_sdtune.ldm.text import CLIPTextModel
from tools import toy_captions
from tools.embedded_sizes import TEXT
from tools.make_vocabulary import FOLDER as VOCABULARY

CLASSES = (10, 9, 9)


def build(captions):
    torch.manual_seed(0)
    text = CLIPTextModel(len(captions.tokenizer), **TEXT)
    for embedding in (text.text_model.embeddings.token_embedding, text.text_model.embeddings.position_embedding):
        nn.init.normal_(embedding.weight, std=0.3 if embedding.num_embeddings > 77 else 0.05)
    return text


def train(text, captions, steps, size=96):
    heads = nn.Linear(TEXT["width"], sum(CLASSES))
    optimizer = torch.optim.AdamW([*text.parameters(), *heads.parameters()], lr=2e-3, betas=(0.9, 0.98),
                                  weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps, pct_start=0.1)
    for step in range(steps):
        rng = toy_captions.seeded("text", step)
        texts = toy_captions.some(rng, size)
        ids = captions.ids(texts)[:, : 77 if step % 4 == 3 or step > 0.8 * steps else 28]
        answers = torch.tensor([toy_captions.said(t) for t in texts])
        after = (ids == captions.tokenizer.end).float()
        logits = heads(text(ids)).split(CLASSES, dim=-1)
        losses = [F.cross_entropy(output.flatten(0, 1), answers[:, i, None].expand(ids.shape).flatten(),
                                  reduction="none", label_smoothing=0.02)
                  for i, output in enumerate(logits)]
        loss = (sum(losses).view(ids.shape) * after).sum() / after.sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(text.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 25 == 24:
            right = [((output.argmax(-1) == answers[:, i, None]) * after).sum().item() / after.sum().item()
                     for i, output in enumerate(logits)]
            print(f"{step + 1} loss {loss.item():.3f} read form {right[0]:.2f} colour {right[1]:.2f} background "
                  f"{right[2]:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    captions = toy_captions.Captions(VOCABULARY)
    text = build(captions)
    train(text, captions, args.steps)
    torch.save(text.state_dict(), args.folder / "text.pt")


if __name__ == "__main__":
    main()
