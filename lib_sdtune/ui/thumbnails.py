"""Small copies of a folder's pictures under what Check says of them; they come from `/inspect/pictures`."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib_sdtune.data.example import Picture
    from lib_sdtune.data.scan import Scan

MAX_PICTURES = 24  # of the subject's pictures, and half as many of the class pictures
ADDRESS = "./sdtune/v1/inspect/pictures/"


def thumbnails(scan: "Scan") -> list[str]:
    """HTML: the pictures, then the class pictures, each headed with their number where there are any."""
    subject = [picture for picture in scan.pictures if not picture.is_class]
    classes = [picture for picture in scan.pictures if picture.is_class]
    strips = strip("Pictures", subject, MAX_PICTURES), strip("Class pictures", classes, MAX_PICTURES // 2)
    return [html for html in strips if html]


def strip(title: str, pictures: "Sequence[Picture]", most: int) -> str:
    """The first `most` of the pictures under a title that says how many there are; "" for none."""
    if not pictures:
        return ""
    number = f"{most} / {len(pictures):,}" if len(pictures) > most else f"{len(pictures):,}"
    images = "".join(map(image, pictures[:most]))
    return (f'<div class="sdtune-list"><h4><span>{title}</span> ({number})</h4>'
            f'<div class="sdtune-thumbnails">{images}</div></div>')


def image(picture: "Picture") -> str:
    """A link to the larger copy; pointing at it tells the file's name, its size and its caption."""
    caption = picture.caption or "(no caption)"
    size = f"{picture.width} × {picture.height}"
    words = escape(f"{picture.relative} · {size}{' · with a mask' if picture.mask else ''}\n{caption}", quote=True)
    address = ADDRESS + escape(picture.content, quote=True)
    return (f'<a class="sdtune-shot" href="{address}?large=true" target="_blank" rel="noopener" title="{words}">'
            f'<img src="{address}" alt="{words}" loading="lazy"></a>')
