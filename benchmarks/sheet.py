"""Rows of small pictures side by side."""

from PIL import Image

SIDE, GAP = 64, 2


def sheet(rows):
    """One picture of rows of pictures, each 64 pixels a side."""
    out = Image.new("RGB", (max(map(len, rows)) * (SIDE + GAP) + GAP, len(rows) * (SIDE + GAP) + GAP), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            out.paste(picture, (x * (SIDE + GAP) + GAP, y * (SIDE + GAP) + GAP))
    return out
