"""From an image file to eight bits of red, green and blue, and to what it says beside them: bits, void, pages."""

import io
import re
import struct
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .finding import register_plugins
from .sizes import require_room, without_limit

register_plugins()
FEWEST, MOST = 8, 16  # bits of a value
BITS_PER_SAMPLE, LARGEST, PLANES, NODATA, KIND = 258, (281, 341), 284, 42113, 254  # tags of TIFF
NO_PAGE = 0b101  # of KIND: a smaller copy of another page, or its mask
OF_ONE = {"MPO", "HEIF"}  # formats whose further frames are previews and depths of the first
SCALED = {"PPM", "JPEG2000"}  # formats whose values Pillow scales to 16 bits by what the file states
DEEP = re.compile(r"(LA|RGB[AaX]?);16([BLN])")  # Pillow's names for pixels of 16 bits that it halves
OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Args:
        rgb: 8-bit RGB; void pixels have the mean colour of the others, so that their border is no edge.
        void: bool (height, width), pixels that are fully transparent or hold the file's nodata value; None without.
        bits: That its values use, 8 to 16: the upper eight of them are kept.
        stated: Whether its file says how many.
        pages: Pages or frames in its file, of which this is the first.
    """

    rgb: Image.Image
    void: np.ndarray | None
    bits: int
    stated: bool
    pages: int

    def turn(self, turn: Image.Transpose | None) -> "Picture":
        """The picture turned or mirrored."""
        void = (
            None if self.void is None else np.asarray(Image.fromarray(self.void).transpose(turn)) if turn else self.void
        )
        return self if turn is None else replace(self, rgb=self.rgb.transpose(turn), void=void)


def open_image(source: Path | bytes) -> Any:
    """Pillow's image of a file or its bytes, not decoded yet; formats have attributes of their own."""
    with without_limit():
        return require_room(Image.open(io.BytesIO(source) if isinstance(source, bytes) else source))


def read_picture(source: Path | bytes, bits: int | None = None, least: int | None = None) -> Picture:
    """The first page of an image file.

    Of pictures with more than 8 bits the upper eight that are used count: as many as the file states, else at least
    ``bits``, and never fewer than the largest value needs.

    Args:
        source: Its path or bytes.
        bits: That other pictures of its data set use; None where it stands alone.
        least: Length (pixels) that both sides must keep if the decoder can save work by reducing; None keeps all.

    Raises:
        ValueError: If it holds numbers of no known range, as 32-bit and floating-point TIFFs do; and what Pillow
            raises where the file is damaged.
    """
    with open_image(source) as image:
        if least is not None:
            image.draft("RGB", (least, least))
        pages, nodata, stated = count_pages(source, image), nodata_value(image), stated_bits(image, source)
        values, alpha = deep_values(image, source)
        if values is None:
            image.load()
            rgb = image.convert("RGB")
            alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
            numbers = image if image.mode in {"P", "1"} else rgb  # nodata of a palette is one of its numbers
            void = void_pixels(np.asarray(numbers) if nodata is not None else None, alpha, nodata)
            return Picture(fill_void(rgb, void), void, FEWEST, True, pages)
        void = void_pixels(values, alpha, nodata)
        held = values if void is None else values[~void]
        held = held if nodata is None else held[held != nodata]  # in one channel of several, too
        needed = int(held.max(initial=0)).bit_length()
        used = max(FEWEST, needed, stated or bits or FEWEST)
        rgb = Image.fromarray((values >> (used - FEWEST)).clip(0, 255).astype(np.uint8)).convert("RGB")
        return Picture(fill_void(rgb, void), void, used, stated is not None, pages)


def deep_values(image: Any, source: Path | bytes) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Values of more than 8 bits, (height, width) or (height, width, 3), and alpha where there is one; None of fewer.

    Pillow has no mode for colours of 16 bits and keeps their upper half; read in the other byte order, it keeps the
    lower one.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if values.dtype.kind == "f" or values.min() < 0 or values.max() >= 1 << MOST:
            raise ValueError(f"its {values.dtype} values have no known range; save it with 8 or 16 bits")
        return values.astype(np.uint16), None
    deep = DEEP.fullmatch(raw_mode(image))
    if (
        image.format == "TIFF"
        and image.tag_v2.get(PLANES) == 2
        and max(image.tag_v2.get(BITS_PER_SAMPLE, (8,))) > FEWEST
    ):
        raise ValueError("its 16-bit bands lie one after the other; save it with bands by pixel")
    if not deep:
        return None, None
    kind, order = deep.groups()
    if kind == "LA":  # both halves of both channels at once
        high_low = halves(source, "RGBA")
        high, low = high_low[..., 0::2], high_low[..., 1::2]
    else:
        kind = kind.upper() if kind == "RGBa" else kind
        high, low = (halves(source, f"{kind};16{part}") for part in (order, OTHER_ORDER[order]))
    values = high.astype(np.uint16) << 8 | low
    if kind == "LA":
        return values[..., 0], values[..., 1]
    return values[..., :3], values[..., 3] if kind == "RGBA" else None


def raw_mode(image: Any) -> str:
    """What Pillow calls the layout of an image's encoded pixels."""
    arguments = image.tile[0].args if getattr(image, "tile", None) else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def halves(source: Path | bytes, raw: str) -> np.ndarray:
    """Pixels of an image file as another layout of the encoded ones gives them: uint8 (height, width, channels)."""
    with open_image(source) as image:
        image.tile = [
            tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw) for tile in image.tile
        ]
        return np.array(image)


def stated_bits(image: Any, source: Path | bytes) -> int | None:
    """Bits that a file of 16 says it uses, or None where it says nothing."""
    if image.format in SCALED:
        return MOST
    if image.format == "TIFF":
        bits = max(image.tag_v2.get(BITS_PER_SAMPLE, (FEWEST,)))
        tops = [np.max(image.tag_v2[tag]) for tag in LARGEST if tag in image.tag_v2]
        bits = min([bits, *(int(top).bit_length() for top in tops if 0 < top < 1 << MOST)])
        return bits if bits < MOST else None  # 16 is what writers say who do not know
    return significant_bits(source) if image.format == "PNG" else None


def significant_bits(source: Path | bytes) -> int | None:
    """The bits that a PNG's chunk sBIT states, which Pillow does not read."""
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8 and (head[4:] not in {b"IDAT", b"PLTE"}):
            length = struct.unpack(">I", head[:4])[0]
            if head[4:] == b"sBIT":
                return max(file.read(min(length, 4)), default=None)
            file.seek(length + 4, io.SEEK_CUR)
    return None


def nodata_value(image: Any) -> float | None:
    """The value that a GeoTIFF gives to pixels without one; a 16-bit PNG's transparent grey."""
    if image.format == "TIFF" and NODATA in image.tag_v2:
        try:
            return float(str(image.tag_v2[NODATA]).strip("\0 "))
        except ValueError:
            return None
    transparent = image.info.get("transparency")
    return transparent if image.mode.startswith("I") and isinstance(transparent, int) else None


def void_pixels(values: Any, alpha: Any, nodata: float | None) -> np.ndarray | None:
    """Pixels that are fully transparent, or hold ``nodata`` in every channel: bool (height, width), None without."""
    void = [] if alpha is None else [np.asarray(alpha) == 0]
    if nodata is not None:
        same = np.equal(values, nodata)
        void.append(same if same.ndim == 2 else same.all(-1))
    return np.logical_or.reduce(void) if any(part.any() for part in void) else None


def fill_void(rgb: Image.Image, void: np.ndarray | None) -> Image.Image:
    """An RGB image whose void pixels have the mean colour of the others."""
    if void is None or void.all():
        return rgb
    pixels = np.array(rgb)
    pixels[void] = pixels[~void].mean(0).round()
    return Image.fromarray(pixels)


def count_pages(source: Path | bytes, image: Any) -> int:
    """Pages or frames of a file that are pictures of their own."""
    if getattr(image, "n_frames", 1) == 1 or image.format in OF_ONE:
        return 1
    if image.format != "TIFF":
        return image.n_frames
    kinds = []
    with open_image(source) as pages:
        for number in range(image.n_frames):
            pages.seek(number)
            kinds.append(pages.tag_v2.get(KIND, 0))
    return sum(not kind & NO_PAGE for kind in kinds) or 1
