"""Pixels of views: files are read, checked and decoded once, then cropped and resized in memory."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ..errors import SmoosegError, raise_problems
from .datasets.matlab import image_array
from .decoding import FEWEST, Picture, read_picture
from .gdal import open_raster
from .rasters import Raster

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def read_bytes(path: Path, sha256: str | None = None) -> tuple[bytes, str]:
    """Content and sha256 of a file, which must be ``sha256`` where that is given."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SmoosegError(f"{path}: cannot be read ({error.strerror})") from error
    digest = hashlib.sha256(data).hexdigest()
    require_sha256(path, digest, sha256)
    return data, digest


def require_sha256(path: Path, found: str, expected: str | None) -> None:
    """Raise if a file's sha256 is not the expected one."""
    if expected is not None and found != expected:
        raise SmoosegError(
            f"{path}: changed since it was indexed (sha256 {found[:12]}, expected {expected[:12]}); "
            f"run again with --forcerun index_views"
        )


def raster_sha256(path: Path) -> str:
    """sha256 of a raster's files: its own, those beside it, and those that a VRT names.

    Raises:
        SmoosegError: If one cannot be read.
    """
    with open_raster(path) as data:
        files = [Path(name) for name in data.files]
    try:
        return files_sha256(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))
    except OSError as error:
        raise SmoosegError(f"{path}: {error.filename} cannot be read ({error.strerror})") from error


@lru_cache  # views of one raster are in many batches
def files_sha256(states: tuple[tuple[Path, int, int], ...]) -> str:
    """sha256 of files' content, whose size and time say whether it can have changed since it was computed."""
    whole = hashlib.sha256()
    for path, *_ in states:
        with open(path, "rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def decode(path: Path, data: bytes, bits: int | None = None) -> Picture:
    """A picture from the bytes of an image file or, by its suffix, a MATLAB file.

    Args:
        path: Of the file.
        data: Its bytes.
        bits: See :func:`smooseg.images.decoding.read_picture`.

    Raises:
        SmoosegError: If the bytes do not decode whole.
    """
    if path.suffix.lower() == ".mat":
        return Picture(Image.fromarray(image_array(path, data)), None, FEWEST, True, 1)
    try:
        return read_picture(data, bits)
    except Exception as error:  # damage surfaces as whatever its bytes lead the decoder to
        raise SmoosegError(f"{path}: image does not decode ({error})") from error


def read_views(root: Path, rows: pd.DataFrame, size: int, resample: str) -> np.ndarray:
    """Pixels of consecutive views, as :func:`read_views_and_void` gives them."""
    return read_views_and_void(root, rows, size, resample)[0]


def read_views_and_void(
    root: Path, rows: pd.DataFrame, size: int, resample: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels of consecutive views; each image file is read, checked and decoded once, a raster by windows.

    Args:
        root: The data set's folder.
        rows: Rows of a manifest.
        size: Side in pixels after rounding to the patch size.
        resample: Key of :data:`RESAMPLING`.

    Returns:
        uint8 (views, size, size, 3), and which of them are void: bool (views, size, size), None where none is.

    Raises:
        SmoosegError: Naming every file of these rows that changed or does not decode.
    """
    pixels, void = np.empty((len(rows), size, size, 3), np.uint8), None
    problems, path, source = [], None, None
    for i, row in enumerate(rows.itertuples()):
        try:
            if row.image != path:
                path, source = row.image, None
                source = open_source(root / path, row)
            if source is not None:
                pixels[i], hidden = view_of(source, row, size, resample)
                if hidden is not None:
                    void = np.zeros((len(rows), size, size), bool) if void is None else void
                    void[i] = hidden
        except SmoosegError as error:
            problems.append(str(error))
    raise_problems("These images cannot be used", list(dict.fromkeys(problems)))
    return pixels, void


def open_source(path: Path, row: Any) -> Picture | Raster:
    """An image that a row of a manifest is of, checked; a raster's pixels are not read yet."""
    if not getattr(row, "raster", ""):
        return decode(path, read_bytes(path, row.sha256)[0], row.bits)
    require_sha256(path, raster_sha256(path), row.sha256)
    return Raster(path, seen=json.loads(row.raster))


def view_of(source: Picture | Raster, row: Any, size: int, resample: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels of one view, uint8 (size, size, 3), and which are void: bool (size, size), None where none is."""
    if isinstance(source, Picture):
        view = crop(source.rgb, row, size, RESAMPLING[resample])
        if source.void is None:
            return view, None
        return view, crop(Image.fromarray(source.void), row, size, Image.Resampling.NEAREST)
    turn = slice(None, None, -1 if row.mirror else 1)
    view, hidden = source.read_with_void((row.top, row.bottom), (row.left, row.right), (size, size))
    return view[:, turn], hidden[:, turn] if hidden.any() else None


def crop(image: Image.Image, row: Any, size: int, resampling: Image.Resampling) -> np.ndarray:
    """The view of an image that a row of a manifest means."""
    view = np.asarray(image.resize((size, size), resampling, (row.left, row.top, row.right, row.bottom)))
    return view[:, ::-1] if row.mirror else view


def label_view(ids: np.ndarray, path: Path, row: Any, size: int) -> np.ndarray:
    """Class ids of one view, resized by nearest: uint8 (size, size).

    Args:
        ids: uint8 (height, width), the label of the view's image.
        path: Its file, for the error.
        row: A row of a manifest, as ``itertuples`` gives it.
        size: Side in pixels.

    Raises:
        SmoosegError: If the label is of another size than its image.
    """
    require_size(ids, path, row.width, row.height)
    box = (row.left, row.top, row.right, row.bottom)
    return np.asarray(Image.fromarray(ids).resize((size, size), Image.Resampling.NEAREST, box))


def require_size(ids: np.ndarray, path: Path, width: int, height: int) -> None:
    """Raise if a label's ids (rows, columns) are not of its image's width and height (pixels)."""
    if ids.shape != (height, width):
        raise SmoosegError(f"{path}: label is {ids.shape[1]}x{ids.shape[0]}, its image {width}x{height}")
