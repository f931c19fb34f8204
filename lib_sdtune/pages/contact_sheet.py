"""A contact sheet: rows of pictures side by side, with or without words above them."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageOps

SIDE, GAP, LINE, MAX_SIDE = 192, 6, 18, 16000
MIN_SIDE = 96  # pixels a side, so that there is room for the words


def contact_sheet(pictures: Sequence[Sequence[Image.Image | None]], columns: Sequence[str] = (),
                  rows: Sequence[str] = ()) -> Image.Image:
    """A PIL image of `pictures[row][column]` (PIL images or None).

    columns, rows: their words; none leave no room for any.
    """
    width = max(map(len, pictures), default=1)
    line = LINE if rows else 0
    head = LINE if columns else GAP
    side = side_of(pictures, (MAX_SIDE - 2 * LINE) // max(width, len(pictures), 1) - GAP - line, bool(columns or rows))
    canvas = Image.new("RGB", (GAP + width * (side + GAP), head + len(pictures) * (side + GAP + line)), "white")
    draw = ImageDraw.Draw(canvas)
    for number, words in enumerate(columns):
        draw.text((GAP + number * (side + GAP), 3), fitting(draw, words, side), "black")
    for row, images in enumerate(pictures):
        top = head + row * (side + GAP + line)
        if rows:
            draw.text((GAP, top + 2), fitting(draw, rows[row], canvas.width - 2 * GAP), "black")
        for number, image in enumerate(images):
            if image is not None:
                small = ImageOps.contain(image.convert("RGB"), (side, side))
                canvas.paste(small, (GAP + number * (side + GAP), top + line))
    return canvas


def side_of(pictures: Sequence[Sequence[Image.Image | None]], room: int, worded: bool) -> int:
    """Pixels a picture: its own size, but not more than SIDE or the room, nor too little for words."""
    largest = max((max(image.size) for images in pictures for image in images if image is not None), default=SIDE)
    return max(24, min(SIDE, room, max(largest, MIN_SIDE) if worded else largest))


def fitting(draw: ImageDraw.ImageDraw, words: str, width: float) -> str:
    """The words, cut where they would run into the next; letters that the font lacks become question marks."""
    words = words.encode("latin-1", "replace").decode("latin-1")
    while words and draw.textlength(words) > width:
        words = words[:-2]
    return words
