"""Pixels of views: files are read, checked and decoded once, then cropped and resized in memory."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ..errors import SmoosegError, raise_listed
from .datasets.matlab import image_array
from .decoding import FEWEST, Picture, read_picture

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
    if sha256 is not None and digest != sha256:
        raise SmoosegError(
            f"{path}: changed since it was indexed (sha256 {digest[:12]}, expected {sha256[:12]}); "
            f"run again with --forcerun index_views"
        )
    return data, digest


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
    """Pixels of consecutive views; each image file is read, checked and decoded once.

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
    problems, path, picture = [], None, None
    for i, row in enumerate(rows.itertuples()):
        if row.image != path:
            path = row.image
            try:
                picture = decode(root / path, read_bytes(root / path, row.sha256)[0], row.bits)
            except SmoosegError as error:
                picture = None
                problems.append(str(error))
        if picture is None:
            continue
        pixels[i] = crop(picture.rgb, row, size, RESAMPLING[resample])
        if picture.void is not None:
            void = np.zeros((len(rows), size, size), bool) if void is None else void
            void[i] = crop(Image.fromarray(picture.void), row, size, Image.Resampling.NEAREST)
    raise_listed("These images cannot be used", problems)
    return pixels, void


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
