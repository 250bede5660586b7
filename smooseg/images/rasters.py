"""Rasters that GDAL opens: read by windows, scaled to eight bits of three bands."""

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ..errors import SmoosegError
from .decoding import FEWEST, open_image

DRIVERS = {  # of GDAL by suffix: a VRT names other files, so that none may come under another suffix
    **dict.fromkeys((".tif", ".tiff"), "GTiff"),
    **dict.fromkeys((".jp2", ".j2k"), "JP2OpenJPEG"),
    **{".vrt": "VRT", ".img": "HFA"},
}
PERCENTILES = 2, 98  # of a band's values, which become 0 and 255: what viewers of rasters take
SAMPLE = 2048  # rows and columns, at most, that percentiles are taken of, evenly spread over the image
CACHE_MB = "128"  # of GDAL: more than a row of windows at full scale, also of a raster that is stored by rows
INSTALL = "pip install rasterio pyogrio shapely"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Where a raster is read.

    Raises:
        SmoosegError: If that fails.
    """
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            yield
        except RasterioError as error:
            raise SmoosegError(f"{path}: raster cannot be read ({' '.join(str(error).split())})") from error


def open_raster(path: Path) -> Any:
    """GDAL's data set of a file.

    Raises:
        SmoosegError: If rasterio is not installed, or the file is no raster.
    """
    require_rasterio(path)
    os.environ.setdefault("GDAL_CACHEMAX", CACHE_MB)  # else a twentieth of the machine's memory
    import rasterio

    logging.getLogger("rasterio").setLevel(logging.CRITICAL)  # of what it says, what matters is raised as well
    with reading(path):  # what lies beside a file, and what a VRT names, lies where a link leads
        return rasterio.open(path.resolve(), driver=DRIVERS[path.suffix.lower()])


def require_rasterio(what: str | Path) -> None:
    """Raise unless rasterio is installed, for which ``what`` asks."""
    if not find_spec("rasterio"):
        raise SmoosegError(f"{what}: rasters need rasterio, which is not installed here; {INSTALL}")


def is_raster(path: Path, asked: bool = False) -> bool:
    """Whether a file is read through GDAL: it is georeferenced, or nothing that Pillow reads, or somebody asked.

    Palettes are Pillow's: their numbers are no brightness.
    """
    if path.suffix.lower() not in DRIVERS or not find_spec("rasterio"):
        return False
    try:
        with open_raster(path) as data:
            if data.colorinterp[0].name == "palette":
                return False
            banded = data.count > 1 and data.profile.get("interleave") == "band"
            beyond = data.dtypes[0] not in {"uint8", "uint16"} or (banded and data.dtypes[0] == "uint16")
            return asked or beyond or data.crs is not None or not data.transform.is_identity or not pillow_opens(path)
    except SmoosegError:
        return False  # Pillow says what is wrong with it


def pillow_opens(path: Path) -> bool:
    """Whether Pillow knows the layout of a file."""
    try:
        with open_image(path):
            return True
    except Exception:  # damage surfaces as whatever the bytes lead it to
        return False


class Raster:
    """A raster's pixels as the backbone sees them.

    Args:
        path: Its file.
        bands: Numbers, from 1, of one band (grey) or three; None takes red, green and blue where they are called so,
            else the first three, or the first of fewer.
        bits: Of values of 16, where the head was fitted on such; None, or 8, takes percentiles.
        seen: What an earlier one's :attr:`seen` was, in place of all that.

    Raises:
        SmoosegError: If it cannot be read, or has no such bands.
    """

    def __init__(
        self, path: Path, bands: Sequence[int] | None = None, bits: int | None = None, seen: dict | None = None
    ):
        self.path, self.data, self.lock = path, open_raster(path), Lock()
        self.width, self.height = self.data.width, self.data.height
        self.crs, self.transform = self.data.crs, self.data.transform
        self.bands = tuple(seen["bands"] if seen else bands or usual_bands(self.data))
        if len(self.bands) not in {1, 3}:
            raise SmoosegError(f"{path}: bands {list(self.bands)} were chosen; give one, or three")
        if max(self.bands) > self.data.count:
            raise SmoosegError(f"{path}: has {self.data.count} bands, and band {max(self.bands)} is asked for")
        if seen:
            self.limits, self.colour = [tuple(pair) for pair in seen["limits"]], np.array(seen["colour"], np.uint8)
            return
        values, self.sampled_void = self.values(out_shape=(min(self.height, SAMPLE), min(self.width, SAMPLE)))
        self.limits = limits(values, ~self.sampled_void, self.data.dtypes[0], bits)
        known = self.eight_bits(values)[~self.sampled_void]
        self.colour = known.mean(0).round().astype(np.uint8) if len(known) else np.zeros(3, np.uint8)

    @property
    def seen(self) -> dict:
        """What decides how its values are seen, JSON-able: bands, limits, and the colour of void."""
        return {"bands": list(self.bands), "limits": self.limits, "colour": self.colour.tolist()}

    def mostly_void(self, left: int, top: int, right: int, bottom: int) -> bool:
        """Whether more than half of a box (pixels) is void, by the pixels that percentiles are taken of."""
        down, across = (n / length for n, length in zip(self.sampled_void.shape, self.data.shape, strict=True))
        rows, columns = (
            slice(int(first * scale), max(int(first * scale) + 1, int(last * scale)))
            for first, last, scale in ((top, bottom, down), (left, right, across))
        )
        return bool(self.sampled_void[rows, columns].mean() > 0.5)

    def values(self, out_shape: tuple[int, int], **how) -> tuple[np.ndarray, np.ndarray]:
        """Values of the bands (bands, height, width), and which pixels are void: none of their bands has one."""
        shape = (len(self.bands), *out_shape)
        with self.lock, reading(self.path):
            values = self.data.read(self.bands, out_shape=shape, **how)
            masks = self.data.read_masks(self.bands, out_shape=shape, window=how.get("window"))
        void = ~masks.any(0)
        return values, void | ~np.isfinite(values).all(0) if values.dtype.kind == "f" else void

    @property
    def square_metres(self) -> float | None:
        """Area of a pixel in its projection; None where coordinates are no lengths."""
        if self.crs is None or not self.crs.is_projected:
            return None
        return abs(self.transform.determinant) * self.crs.linear_units_factor[1] ** 2

    def eight_bits(self, values: np.ndarray) -> np.ndarray:
        """Values of the bands, (bands, height, width), as uint8 (height, width, 3)."""
        low, high = (np.array(limit, np.float32)[:, None, None] for limit in zip(*self.limits, strict=True))
        if values.dtype == np.uint8:
            scaled = values
        else:
            fraction = (values.astype(np.float32) - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
            scaled = (np.nan_to_num(fraction).clip(0, 1) * 255).round().astype(np.uint8)
        return np.broadcast_to(scaled, (3, *scaled.shape[1:])).transpose(1, 2, 0)

    def read(self, rows: tuple[float, float], columns: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
        """What :meth:`read_with_void` gives, without the second."""
        return self.read_with_void(rows, columns, shape)[0]

    def read_with_void(
        self, rows: tuple[float, float], columns: tuple[float, float], shape: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of a part at another size, void ones in the mean colour.

        Args:
            rows, columns: From where to where (pixels, fractions too).
            shape: Height and width of the result (pixels).

        Returns:
            uint8 (height, width, 3), and which pixels are void: bool (height, width).
        """
        from rasterio.enums import Resampling
        from rasterio.windows import Window

        window = Window(columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0])
        how = Resampling.average if window.height >= 2 * shape[0] else Resampling.bilinear
        values, void = self.values(shape, window=window, resampling=how)
        pixels = self.eight_bits(values).copy()
        pixels[void] = self.colour
        return pixels, void

    def void(self, start: int, stop: int) -> np.ndarray:
        """Pixels without a value in some rows: bool (stop - start, width)."""
        from rasterio.windows import Window

        return self.values((stop - start, self.width), window=Window(0, start, self.width, stop - start))[1]

    def __del__(self):
        if data := getattr(self, "data", None):
            data.close()


def usual_bands(data: Any) -> tuple[int, ...]:
    """Bands of a raster that are seen where nobody chose."""
    names = [interpretation.name for interpretation in data.colorinterp]
    if {"red", "green", "blue"} <= set(names):
        return tuple(names.index(name) + 1 for name in ("red", "green", "blue"))
    return (1, 2, 3) if data.count >= 3 else (1,)


def limits(values: np.ndarray, known: np.ndarray, dtype: str, bits: int | None) -> list[tuple[float, float]]:
    """For each band what becomes 0 and what 255."""
    if dtype == "uint8" or not known.any():
        return [(0.0, 255.0)] * len(values)
    if dtype == "uint16" and (bits or FEWEST) > FEWEST:
        return [(0.0, float((1 << (bits or FEWEST)) - 1))] * len(values)
    found = np.percentile(values[:, known], PERCENTILES, axis=1).T
    return [(float(low), float(high)) for low, high in found]


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
        logging.info("%s: bands and what becomes 0 to 255: %s", raster.path, said)

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Pixels of some rows and columns of the view, uint8 (height, width, 3)."""
        down, right = self.raster.height / self.shape[0], self.raster.width / self.shape[1]
        shape = rows.stop - rows.start, columns.stop - columns.start
        return self.raster.read(
            (rows.start * down, rows.stop * down), (columns.start * right, columns.stop * right), shape
        )
