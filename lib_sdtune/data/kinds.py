"""What the first bytes of a file announce."""

from PIL import Image


def promised(data: bytes) -> str:
    """The kind that the first bytes announce, of those that have an end mark."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG"}.get(data[: 3 if data[:1] == b"\xff" else 4], "")


MARKS = {b"\x89PNG": "a damaged PNG", b"\xff\xd8\xff": "a damaged JPEG", b"GIF8": "a damaged GIF",
         b"RIFF": "a damaged WebP", b"II*\0": "a TIFF", b"MM\0*": "a TIFF", b"8BPS": "a Photoshop file",
         b"%PDF": "a PDF", b"PK\3\4": "a ZIP archive",
         b"<svg": "an SVG drawing", b"<?xml": "an SVG drawing", b"<!DO": "a web page", b"<htm": "a web page"}


def guess(data: bytes) -> str:
    """What a file that is no picture seems to be."""
    if data[4:8] == b"ftyp":
        return unsupported("AVIF") if b"avif" in data[:32] else "a HEIC photo or a film"
    if data[:12] == b"\0\0\0\x0cJXL \r\n\x87\n" or data[:2] == b"\xff\x0a":
        return unsupported("JXL")
    return next((name for start, name in MARKS.items() if data.startswith(start)), "its content is of an unknown kind")


def unsupported(kind: str) -> str:
    name = {"AVIF": "AVIF", "JXL": "JPEG XL"}[kind]
    if kind in Image.OPEN:
        return f"a damaged {name}"
    return f"{'an' if kind == 'AVIF' else 'a'} {name}, which the Pillow here does not know"
