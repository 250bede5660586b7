"""Parts of rasters at another size, where some pixels have no value: means of those that have one.

GDAL's resampling spreads a NaN over all pixels that it touches, and knows neither palettes nor every kind of alpha.
"""

from collections.abc import Callable
from math import ceil, floor

import numpy as np
from PIL import Image

FINER = 8  # values along each axis, at most, that one pixel is the mean of; where there are more, evenly spread
AT_ONCE = 1 << 22  # values of a band in memory
Read = Callable[[tuple[int, int], tuple[int, int], tuple[int, int]], tuple[np.ndarray, np.ndarray]]
Span = tuple[float, float]


def resample(
    read: Read, size: tuple[int, int], rows: Span, columns: Span, shape: tuple[int, int], averaged: bool
) -> tuple[np.ndarray, np.ndarray]:
    """A part of a raster at another size.

    Args:
        read: Gives values (bands, height, width) of some rows and columns at a shape, by nearest, and which there are.
        size: Height and width of the raster (pixels).
        rows, columns: From where to where (pixels, fractions too).
        shape: Height and width of the result (pixels).
        averaged: Whether pixels are means of what lies under them; else they are interpolated, bilinear.

    Returns:
        Values, float32 (bands, height, width), and where they are known: where any value has weight.
    """
    lines = max(1, AT_ONCE // (FINER**2 * shape[1]))
    down, pieces = (rows[1] - rows[0]) / shape[0], []
    for first in range(0, shape[0], lines):
        last = min(first + lines, shape[0])
        part = rows[0] + first * down, rows[0] + last * down
        pieces.append(resample_piece(read, size, part, columns, (last - first, shape[1]), averaged))
    values, known = zip(*pieces, strict=True)
    return np.concatenate(values, 1), np.concatenate(known, 1)


def resample_piece(
    read: Read, size: tuple[int, int], rows: Span, columns: Span, shape: tuple[int, int], averaged: bool
) -> tuple[np.ndarray, np.ndarray]:
    """What :func:`resample` gives, at once."""
    (top, bottom, high, up, down), (left, right, wide, west, east) = (
        pixel_range(*one) for one in zip((rows, columns), size, shape, strict=True)
    )
    values, known = read((top, bottom), (left, right), (high, wide))
    how = Image.Resampling.BOX if averaged else Image.Resampling.BILINEAR

    def resize(band: np.ndarray) -> np.ndarray:
        image = Image.fromarray(band.astype(np.float32))
        return np.asarray(image.resize(shape[::-1], how, (west, up, east, down)))

    if known.all():
        return np.stack([resize(band) for band in values]), np.ones((len(known), *shape), bool)
    weights = np.stack([resize(band) for band in known])
    sums = np.stack([resize(np.where(there, band, 0)) for there, band in zip(known, values, strict=True)])
    there = weights > 1e-6
    return sums / np.where(there, weights, 1), there


def pixel_range(span: Span, length: int, n: int) -> tuple[int, int, int, float, float]:
    """Whole pixels that are read for a span of an axis.

    Args:
        span: From where to where (pixels).
        length: Of the axis (pixels).
        n: Pixels that it becomes.

    Returns:
        The first and the last of them, as how many values they are read, and where in these the span begins and ends.
    """
    each = (span[1] - span[0]) / n
    margin = max(1.0, each)  # what the bilinear kernel reaches beyond
    first, last = max(0, floor(span[0] - margin)), min(length, ceil(span[1] + margin))
    values = ceil((last - first) * min(1.0, FINER / each))
    scale = values / (last - first)
    start, stop = ((end - first) * scale for end in span)
    return first, last, values, max(0.0, start), min(float(values), stop)
