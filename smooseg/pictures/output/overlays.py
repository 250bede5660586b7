"""Masks over their photograph, with a legend below: what people look at."""

from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from ...images.datasets import VOID
from ...running.files import write_whole
from .legend import Legend
from .masks import overlay_path

OPACITY, JPEG_QUALITY = 0.5, 90
SIDE = 8192  # pixels of a photograph's longer side, at most: what viewers open, and below what a JPEG can have
LETTERS = 40  # times smaller than the shorter side is the legend's text
SMALLEST = 9  # pixels, of text


def save_overlay(photo: Image.Image, mask: Image.Image, legend: Legend, path: Path) -> None:
    """Write the overlay of the mask that is to lie at ``path``; of a large photograph, a smaller copy.

    Args:
        photo: RGB image, upright.
        mask: Of its size, palette image of ids.
        legend: Of the ids.
        path: Of the mask.
    """
    page = with_legend(photo, mask, legend)
    with write_whole(overlay_path(path)) as aside:
        page.save(aside, "JPEG", quality=JPEG_QUALITY)


def with_legend(photo: Image.Image, mask: Image.Image, legend: Legend) -> Image.Image:
    """What :func:`save_overlay` writes, and with the same arguments."""
    counts = np.array(mask.histogram())
    if max(photo.size) > SIDE:
        photo = photo.copy()
        photo.thumbnail((SIDE, SIDE))
        mask = mask.resize(photo.size)  # of a palette, to the nearest
    blend = Image.blend(photo, mask.convert("RGB"), OPACITY)
    key = draw_legend(blend.width, max(SMALLEST, min(blend.size) // LETTERS), legend, counts)
    page = Image.new("RGB", (blend.width, blend.height + key.height))
    page.paste(blend, (0, 0))
    page.paste(key, (0, blend.height))
    return page


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font of the figures, which has Greek and Cyrillic letters, too."""
    return ImageFont.truetype(findfont("DejaVu Sans"), size)


def draw_legend(width: int, size: int, legend: Legend, counts: np.ndarray) -> Image.Image:
    """Colour, name and share of each id that occurs, the most frequent first, in as many lines as they need.

    Args:
        width: Of the result (pixels).
        size: Of the text (pixels).
        legend: Of the ids.
        counts: int (256,), pixels of each id.
    """
    names = legend.names | {VOID: "void"}
    shown = [
        (i, f"{names[i]} {100 * counts[i] / counts.sum():.1f} %")
        for i in np.argsort(-counts, kind="stable")
        if counts[i]
    ]
    line, places, x, y = 2 * size, [], 0, 0
    for i, text in shown:
        needed = round(font(size).getlength(text)) + 3 * size
        if x and x + needed > width:
            x, y = 0, y + line
        places.append((x, y, i, text))
        x += needed
    image = Image.new("RGB", (width, y + line), "white")
    draw = ImageDraw.Draw(image)
    for x, y, i, text in places:
        box = (x + size // 2, y + size // 2, x + 3 * size // 2, y + 3 * size // 2)
        draw.rectangle(box, fill=tuple(map(int, legend.palette[i])), outline="black")
        draw.text((x + 2 * size, y + size), text, fill="black", font=font(size), anchor="lm")
    return image
