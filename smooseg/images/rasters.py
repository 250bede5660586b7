"""A raster's pixels: read by windows, scaled to eight bits of three bands."""

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np

from ..errors import SmoosegError
from .bands import alpha_band, limits, mean_colour, palette, usual_bands, value_bits
from .decoding import FEWEST
from .gdal import open_raster, reading
from .places import place_of
from .resampling import resample

LOG = logging.getLogger(__name__)
SAMPLE = 2048  # rows and columns, at most, that percentiles are taken of, evenly spread over the image


class Raster:
    """A raster's pixels as the backbone sees them.

    Args:
        path: Its file.
        bands: Numbers, from 1, of one band (grey) or three; None takes red, green and blue where they are called so,
            else the first three, or the first of fewer. Those of a palette are its red, green and blue.
        bits: Of values of 16, where the head was fitted on such; None, or 8, takes percentiles.
        seen: What an earlier one's :attr:`seen` was, in place of all that.

    Raises:
        SmoosegError: If it cannot be read, has no such bands, or holds complex numbers.
    """

    def __init__(
        self, path: Path, bands: Sequence[int] | None = None, bits: int | None = None, seen: dict | None = None
    ):
        self.path, self.data, self.lock = path, open_raster(path), Lock()
        self.width, self.height = self.data.width, self.data.height
        with reading(path):
            self.place, self.table, self.alpha = place_of(self.data), palette(self.data), alpha_band(self.data)
        self.bands = tuple(seen["bands"] if seen else bands or usual_bands(self.data))
        count = self.data.count if self.table is None else 3
        if len(self.bands) not in {1, 3}:
            raise SmoosegError(f"{path}: bands {list(self.bands)} were chosen; give one, or three")
        if max(self.bands) > count:
            raise SmoosegError(f"{path}: has {count} bands, and band {max(self.bands)} is asked for")
        if any("complex" in self.data.dtypes[band - 1] for band in self.bands if self.table is None):
            raise SmoosegError(f"{path}: holds complex numbers, which are no picture; save their magnitude")
        if seen:
            self.limits, self.colour = [tuple(pair) for pair in seen["limits"]], np.array(seen["colour"], np.uint8)
            return
        values, known = self.values((0, self.height), (0, self.width), self.sampled)
        self.sampled_void = ~np.logical_or.reduce(known)
        self.limits = limits(values, known, value_bits(self.data, self.bands) if self.table is None else FEWEST, bits)
        self.colour = mean_colour(self.eight_bits(values), known)

    @property
    def seen(self) -> dict:
        """What decides how its values are seen, JSON-able: bands, limits, and the colour of void."""
        return {"bands": list(self.bands), "limits": self.limits, "colour": self.colour.tolist()}

    @property
    def sampled(self) -> tuple[int, int]:
        """How many rows and columns percentiles are taken of."""
        return min(self.height, SAMPLE), min(self.width, SAMPLE)

    @cached_property
    def gapless(self) -> bool:
        """Whether every pixel has a value that GDAL can resample."""
        if self.table is not None or self.alpha:
            return False
        whole_numbers = all(np.dtype(self.data.dtypes[band - 1]).kind in "iu" for band in self.bands)
        flags = [{flag.name for flag in self.data.mask_flag_enums[band - 1]} for band in self.bands]
        return whole_numbers and all("all_valid" in one for one in flags)

    def is_mostly_void(self, left: int, top: int, right: int, bottom: int) -> bool:
        """Whether more than half of a box (pixels) is void, by the pixels that percentiles are taken of."""
        down, across = (n / length for n, length in zip(self.sampled_void.shape, self.data.shape, strict=True))
        rows, columns = (
            slice(int(first * scale), max(int(first * scale) + 1, int(last * scale)))
            for first, last, scale in ((top, bottom, down), (left, right, across))
        )
        return bool(self.sampled_void[rows, columns].mean() > 0.5)

    def values(
        self, rows: tuple[int, int], columns: tuple[int, int], shape: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values of the bands in some rows and columns, and which of them there are.

        Args:
            rows, columns: From where to where (pixels).
            shape: Height and width of the result (pixels); values are taken, not made.

        Returns:
            (bands, height, width) of the file's type, and bool of the same shape.
        """
        from rasterio.windows import Window

        window = Window(columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0])
        bands = list(self.bands) if self.table is None else [1]
        with self.lock, reading(self.path):
            values = self.data.read(bands, window=window, out_shape=(len(bands), *shape))
            known = self.data.read_masks(bands, window=window, out_shape=values.shape) > 0
            if self.alpha:
                known &= self.data.read(self.alpha, window=window, out_shape=shape) > 0
        if self.table is not None:
            colours = self.table[values[0]]
            known = known & (colours[..., 3] > 0)
            values = np.stack([colours[..., band - 1] for band in self.bands])
        elif values.dtype.kind == "f":
            known &= np.isfinite(values)
        return values, np.broadcast_to(known, values.shape)

    @property
    def square_metres(self) -> float | None:
        """Area of a pixel in its projection; None where coordinates are no lengths, or control points make them."""
        place = self.place
        if not place.mapped or place.points or not place.crs.is_projected:
            return None
        return abs(place.transform.determinant) * place.crs.linear_units_factor[1] ** 2

    def eight_bits(self, values: np.ndarray) -> np.ndarray:
        """Values of the bands, (bands, height, width), as uint8 (height, width, 3)."""
        low, high = (np.array(limit, np.float32)[:, None, None] for limit in zip(*self.limits, strict=True))
        if values.dtype == np.uint8 and (high - low == 255).all():
            scaled = values
        else:
            with np.errstate(invalid="ignore", over="ignore"):  # of what is no value, and is not shown
                fraction = (values.astype(np.float32) - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
            scaled = (np.nan_to_num(fraction).clip(0, 1) * 255).round().astype(np.uint8)
        return np.broadcast_to(scaled, (3, *scaled.shape[1:])).transpose(1, 2, 0)

    def read(self, rows: tuple[float, float], columns: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
        """What :meth:`read_with_void` gives, without the second."""
        return self.read_with_void(rows, columns, shape)[0]

    def read_with_void(
        self, rows: tuple[float, float], columns: tuple[float, float], shape: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of a part at another size; where a band has no value, it has its mean.

        Args:
            rows, columns: From where to where (pixels, fractions too).
            shape: Height and width of the result (pixels).

        Returns:
            uint8 (height, width, 3), and which pixels are void, as no band has a value: bool (height, width).
        """
        averaged = rows[1] - rows[0] >= 2 * shape[0]
        if self.gapless:
            return self.eight_bits(self.resample(rows, columns, shape, averaged)), np.zeros(shape, bool)
        values, known = resample(self.values, self.data.shape, rows, columns, shape, averaged)
        seen = np.broadcast_to(known, (3, *shape)).transpose(1, 2, 0)
        return np.where(seen, self.eight_bits(values), self.colour), ~np.logical_or.reduce(known)

    def resample(
        self, rows: tuple[float, float], columns: tuple[float, float], shape: tuple[int, int], averaged: bool
    ) -> np.ndarray:
        """Values of the bands (bands, height, width) in a part at another size, as GDAL makes them."""
        from rasterio.enums import Resampling
        from rasterio.windows import Window

        window = Window(columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0])
        how, out_shape = Resampling.average if averaged else Resampling.bilinear, (len(self.bands), *shape)
        with self.lock, reading(self.path):
            return self.data.read(list(self.bands), window=window, out_shape=out_shape, resampling=how)

    def void(self, shape: tuple[int, int], rows: tuple[int, int] | None = None) -> np.ndarray:
        """Pixels without a value in some rows, or in all, at a height and width: bool of that shape."""
        if self.gapless:
            return np.zeros(shape, bool)
        return ~np.logical_or.reduce(self.values(rows or (0, self.height), (0, self.width), shape)[1])

    def __del__(self):
        if data := getattr(self, "data", None):
            data.close()


class RasterView:
    """A raster at a view's size, as a photograph is one of ``smooseg.pictures.photos``.

    Args:
        raster: The raster.
        shape: Height and width of the view (pixels).
    """

    def __init__(self, raster: Raster, shape: tuple[int, int]):
        self.raster, self.shape = raster, shape
        said = ", ".join(
            f"{band}: {low:g} to {high:g}" for band, (low, high) in zip(raster.bands, raster.limits, strict=True)
        )
        LOG.info("%s: bands and what becomes 0 to 255: %s", raster.path, said)

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Pixels of some rows and columns of the view, uint8 (height, width, 3)."""
        down, right = self.raster.height / self.shape[0], self.raster.width / self.shape[1]
        shape = rows.stop - rows.start, columns.stop - columns.start
        return self.raster.read(
            (rows.start * down, rows.stop * down), (columns.start * right, columns.stop * right), shape
        )
