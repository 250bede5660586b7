"""Masks at the size of their photograph: palette PNGs of ids that say what they were made from, and overlays."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ...errors import SmoosegError
from ...images.sizes import without_limit
from ...running.files import walk, write_whole
from .legend import Legend

BAND = 512  # rows of a mask that are enlarged at once
RECORD = "smooseg"  # text of a mask that holds its record
SUFFIXES = {".png", ".tif"}  # of masks: of photographs, of rasters
NAMES = ".aux.xml"  # where GDAL looks for the names of a raster's values
GDAL_METADATA = 42112  # tag of TIFF
OVERLAY_SUFFIX = ".overlay.jpg"


def neighbours(side: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along one axis, for each of ``size`` pixels the two of ``side`` it lies between, and the second's weight."""
    position = ((np.arange(size) + 0.5) * side / size - 0.5).clip(0, side - 1)  # as bilinear, align_corners false
    first = position.astype(np.intp)
    return first, np.minimum(first + 1, side - 1), (position - first).astype(np.float32)


def scaled_ids(ids: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map of ids at another size: each pixel takes the id of most bilinear weight among the four around it.

    Args:
        ids: uint8 (rows, columns).
        height, width: Of the result (pixels).

    Returns:
        uint8 (height, width); its edges are smoother than those of nearest neighbours, and no id is invented.
    """
    result = np.empty((height, width), np.uint8)
    for start, band in scaled_bands(ids, height, width):
        result[start : start + BAND] = band
    return result


def scaled_bands(
    ids: np.ndarray, height: int, width: int, called: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Bands of rows of what :func:`scaled_ids` gives of ``called(ids)``, each with its first row."""
    rows, columns = neighbours(ids.shape[0], height), neighbours(ids.shape[1], width)
    for start in range(0, height, BAND):
        first, second, weights = (part[start : start + BAND] for part in rows)
        top = first[0]
        yield start, vote(called(ids[top : second[-1] + 1]), (first - top, second - top, weights), columns)


def vote(ids: np.ndarray, rows: Sequence[np.ndarray], columns: Sequence[np.ndarray]) -> np.ndarray:
    """Ids between four neighbours, as in :func:`scaled_ids`; only where they differ is anything to be weighed."""
    corners = [ids[np.ix_(row, column)] for row in rows[:2] for column in columns[:2]]
    result = corners[0].copy()
    y, x = np.nonzero((corners[0] != corners[1]) | (corners[0] != corners[2]) | (corners[0] != corners[3]))
    down, right = rows[2][y], columns[2][x]
    weights = [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right]
    candidates = [corner[y, x] for corner in corners]
    votes = [sum(w * (c == mine) for w, c in zip(weights, candidates, strict=True)) for mine in candidates]
    result[y, x] = np.choose(np.argmax(votes, axis=0), candidates)
    return result


def overlay_path(mask: Path) -> Path:
    """Where the overlay of a mask lies."""
    return mask.with_name(mask.stem + OVERLAY_SUFFIX)


def write_mask(ids: np.ndarray, legend: Legend, record: dict, path: Path) -> None:
    """Write a mask, whole or not at all.

    Args:
        ids: uint8 (height, width), of the photograph's size.
        legend: Of the ids.
        record: JSON-able facts to keep in the mask.
        path: PNG to write.
    """
    info = PngInfo()
    info.add_text(RECORD, json.dumps(record))
    with write_whole(path) as aside:
        palette_image(ids, legend).save(aside, "PNG", pnginfo=info)


def palette_image(ids: np.ndarray, legend: Legend) -> Image.Image:
    """A map of ids in the legend's colours."""
    image = Image.fromarray(ids, "P")
    image.putpalette(legend.palette.tobytes())
    return image


def read_record(path: Path) -> dict | None:
    """The record of a mask, or None where none lies.

    Raises:
        SmoosegError: If another file lies there, which must not be overwritten.
    """
    try:
        with without_limit():
            opened = Image.open(path)
        with opened as mask:
            return json.loads(mask.info[RECORD] if path.suffix == ".png" else geotiff_tag(mask))
    except FileNotFoundError:
        return None
    except Exception as error:  # no image, or one without a record
        raise SmoosegError(f"{path}: exists, and is not a mask that smooseg wrote; give another --out") from error


def geotiff_tag(mask: Any) -> str:
    """The record in the text that GDAL keeps in a TIFF."""
    items = ElementTree.fromstring(mask.tag_v2[GDAL_METADATA].rstrip("\0"))
    return unescape(next(item.text or "" for item in items if item.get("name") == RECORD))  # GDAL escapes twice


def masks_below(folder: Path) -> Iterator[tuple[Path, dict]]:
    """Masks of smooseg's at and below a folder, with their records."""
    for path in walk(folder):
        with suppress(SmoosegError):
            record = read_record(path) if path.suffix in SUFFIXES else None
            if record is not None:
                yield path, record


def is_output(path: Path) -> bool:
    """Whether a file is a mask or an overlay."""
    if path.name.endswith(OVERLAY_SUFFIX):
        return True
    try:
        return path.suffix in SUFFIXES and read_record(path) is not None
    except SmoosegError:
        return False


def write_csv(rows: Iterable[list], path: Path) -> None:
    """Write rows as CSV, whole or not at all."""
    with write_whole(path) as aside, open(aside, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
