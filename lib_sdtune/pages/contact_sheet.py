"""The contact sheet: one row a prompt and seed, one column a file and weight."""

from PIL import Image, ImageDraw, ImageOps

SIDE, GAP, LINE, LARGEST = 192, 6, 18, 16000
LEAST = 96  # pixels a side, so that there is room for the words


def sheet(columns, rows, pictures):
    """A PIL image. columns, rows: their words; pictures[row][column]: PIL image or None."""
    room = (LARGEST - 2 * LINE) // max(len(columns), len(rows), 1) - GAP - LINE
    largest = max((max(image.size) for line in pictures for image in line if image is not None), default=SIDE)
    side = max(24, min(SIDE, room, max(largest, LEAST)))
    width, height = GAP + len(columns) * (side + GAP), LINE + len(rows) * (side + GAP + LINE)
    canvas = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(canvas)
    for place, words in enumerate(columns):
        draw.text((GAP + place * (side + GAP), 3), fitting(draw, words, side), "black")
    for line, words in enumerate(rows):
        top = LINE + line * (side + GAP + LINE)
        draw.text((GAP, top + 2), fitting(draw, words, width - 2 * GAP), "black")
        for place, image in enumerate(pictures[line]):
            if image is not None:
                small = ImageOps.contain(image.convert("RGB"), (side, side))
                canvas.paste(small, (GAP + place * (side + GAP), top + LINE))
    return canvas


def fitting(draw, words, width):
    """The words, cut where they would run into the next; letters that the font lacks become question marks."""
    words = words.encode("latin-1", "replace").decode("latin-1")
    while words and draw.textlength(words) > width:
        words = words[:-2]
    return words
