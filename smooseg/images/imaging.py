"""Pixels of views: files are read, checked and decoded once, then cropped and resized in memory."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ..errors import SmoosegError, raise_listed
from .datasets.matlab import image_array
from .sizes import require_room

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


def decode(path: Path, data: bytes) -> Image.Image:
    """RGB image from the bytes of an image file or, by its suffix, a MATLAB file.

    Raises:
        SmoosegError: If the bytes do not decode whole.
    """
    if path.suffix.lower() == ".mat":
        return Image.fromarray(image_array(path, data))
    try:
        return to_rgb(require_room(Image.open(io.BytesIO(data))))
    except Exception as error:  # damage surfaces as whatever its bytes lead the decoder to
        raise SmoosegError(f"{path}: image does not decode ({error})") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """An image as 8-bit RGB: of several frames the first, without transparency; of 16 bits the upper eight.

    Raises:
        ValueError: If it holds numbers of no known range, as 32-bit and floating-point TIFFs do.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if values.dtype.kind == "f" or values.min() < 0 or values.max() >= 1 << 16:
            raise ValueError(f"its {values.dtype} values have no known range; save it with 8 or 16 bits")
        image = Image.fromarray((values >> 8).astype(np.uint8))
    return image.convert("RGB")


def read_views(root: Path, rows: pd.DataFrame, size: int, resample: str) -> np.ndarray:
    """Pixels of consecutive views; each image file is read, checked and decoded once.

    Args:
        root: The data set's folder.
        rows: Rows of a manifest.
        size: Side in pixels after rounding to the patch size.
        resample: Key of :data:`RESAMPLING`.

    Returns:
        uint8 (views, size, size, 3).

    Raises:
        SmoosegError: Naming every file of these rows that changed or does not decode.
    """
    pixels = np.empty((len(rows), size, size, 3), np.uint8)
    problems, path, image = [], None, None
    for out, row in zip(pixels, rows.itertuples(), strict=True):
        if row.image != path:
            path = row.image
            try:
                image = decode(root / path, read_bytes(root / path, row.sha256)[0])
            except SmoosegError as error:
                image = None
                problems.append(str(error))
        if image is not None:
            box = (row.left, row.top, row.right, row.bottom)
            view = np.asarray(image.resize((size, size), RESAMPLING[resample], box))
            out[:] = view[:, ::-1] if row.mirror else view
    raise_listed("These images cannot be used", problems)
    return pixels


def label_view(ids: np.ndarray, path: Path, row: tuple, size: int) -> np.ndarray:
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
