"""What a raster's bands hold: colours, numbers of a palette, alpha; and which of their values become 0 and 255."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .decoding import FEWEST, MOST

PERCENTILES = 2, 98  # of a band's values, which become 0 and 255: what viewers of rasters take


def is_palette(data: Any) -> bool:
    """Whether the numbers of a raster's first band are those of colours."""
    return data.colorinterp[0].name == "palette"


def palette(data: Any) -> np.ndarray | None:
    """Colours by number, uint8 (numbers, 4), of a raster with a palette; None of another."""
    if not is_palette(data):
        return None
    colours = data.colormap(1)
    table = np.zeros((1 << (8 * np.dtype(data.dtypes[0]).itemsize), 4), np.uint8)
    table[list(colours)] = list(colours.values())
    return table


def alpha_band(data: Any) -> int | None:
    """Number of the band that says what is transparent, where GDAL takes it for no mask: beside more than three."""
    names = [interpretation.name for interpretation in data.colorinterp]
    masked = any(flag.name == "alpha" for flag in data.mask_flag_enums[0])
    return names.index("alpha") + 1 if "alpha" in names and not masked else None


def usual_bands(data: Any) -> tuple[int, ...]:
    """Bands of a raster that are seen where nobody chose."""
    if is_palette(data):
        return 1, 2, 3
    names = [interpretation.name for interpretation in data.colorinterp]
    if {"red", "green", "blue"} <= set(names):
        return tuple(names.index(name) + 1 for name in ("red", "green", "blue"))
    shown = [number for number, name in enumerate(names, 1) if name != "alpha"] or [1]
    return tuple(shown[:3] if len(shown) >= 3 else shown[:1])


def value_bits(data: Any, bands: Sequence[int]) -> int | None:
    """Bits of the values of unsigned bands, as few as the file says where it has one byte for each; None of others."""
    if data.dtypes[bands[0] - 1] == "uint8":
        return int(data.tags(bands[0], ns="IMAGE_STRUCTURE").get("NBITS", FEWEST))
    return MOST if data.dtypes[bands[0] - 1] == "uint16" else None


def limits(values: np.ndarray, known: np.ndarray, stored: int | None, bits: int | None) -> list[tuple[float, float]]:
    """For each band what becomes 0 and what 255.

    Args:
        values, known: Of the bands, (bands, height, width), and which of them there are.
        stored: Bits of a value in the file, see :func:`value_bits`.
        bits: That are used of 16; None, or 8, takes percentiles.
    """
    if stored is not None and stored <= FEWEST:
        return [(0.0, float((1 << stored) - 1))] * len(values)
    if stored == MOST and (bits or FEWEST) > FEWEST:
        return [(0.0, float((1 << (bits or FEWEST)) - 1))] * len(values)
    some = [band[there] if there.any() else [0, 255] for band, there in zip(values, known, strict=True)]
    found = [np.percentile(numbers, PERCENTILES) for numbers in some]
    return [(float(low), float(high)) for low, high in found]


def mean_colour(pixels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean of what is known, uint8 (3,), of pixels (height, width, 3) and known (1 or 3, height, width)."""
    seen = np.broadcast_to(known, (3, *known.shape[1:]))
    means = [pixels[..., i][there].mean() if there.any() else 0 for i, there in enumerate(seen)]
    return np.round(means).astype(np.uint8)
