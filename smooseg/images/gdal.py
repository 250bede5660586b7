"""Files that GDAL opens: which they are, and how they are opened and read."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any
from warnings import catch_warnings, filterwarnings, simplefilter

from ..errors import SmoosegError
from .bands import is_palette
from .decoding import open_image
from .places import place_of

DRIVERS = {  # of GDAL by suffix: a VRT names other files, so that none may come under another suffix
    **dict.fromkeys((".tif", ".tiff"), "GTiff"),
    **dict.fromkeys((".jp2", ".j2k"), "JP2OpenJPEG"),
    **{".vrt": "VRT", ".img": "HFA"},
}
INSTALL = "pip install rasterio pyogrio shapely"
LOGGER = logging.getLogger("rasterio")
GUARD, BEFORE = Lock(), list[tuple[catch_warnings, int]]()  # filters and level, once for each use that is under way


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Where a raster is read.

    Raises:
        SmoosegError: If that fails: damage surfaces as whatever its bytes lead GDAL to.
    """
    try:
        with quiet():
            yield
    except SmoosegError:
        raise
    except Exception as error:
        raise SmoosegError(f"{path}: raster cannot be read ({' '.join(str(error).split())})") from error


def open_raster(path: Path) -> Any:
    """GDAL's data set of a file.

    Raises:
        SmoosegError: If rasterio is not installed, or the file is no raster.
    """
    require_rasterio(path)
    import rasterio

    with reading(path):  # what lies beside a file, and what a VRT names, lies where a link leads
        return rasterio.open(path.resolve(), driver=DRIVERS[path.suffix.lower()])


@contextmanager
def quiet() -> Iterator[None]:
    """Let rasterio and pyogrio say nothing where they are used: what matters is raised as well.

    Threads share Python's filters of warnings, so these are as before when the last of them has left.
    """
    from rasterio.errors import NotGeoreferencedWarning

    with GUARD:
        BEFORE.append((catch_warnings(), LOGGER.level) if not BEFORE else BEFORE[0])
        if len(BEFORE) == 1:
            BEFORE[0][0].__enter__()
            simplefilter("ignore", NotGeoreferencedWarning)
            filterwarnings("ignore", "'crs' was not provided", UserWarning)
            LOGGER.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        with GUARD:
            filters, level = BEFORE.pop()
            if not BEFORE:
                filters.__exit__(None, None, None)
                LOGGER.setLevel(level)


def require_rasterio(what: str | Path) -> None:
    """Raise unless rasterio is installed, for which ``what`` asks."""
    if not find_spec("rasterio"):
        raise SmoosegError(f"{what}: rasters need rasterio, which is not installed here; {INSTALL}")


def is_raster(path: Path, asked: bool = False) -> bool:
    """Whether a file is read through GDAL: it is georeferenced, or nothing that Pillow reads, or somebody asked.

    A palette without georeference is Pillow's.
    """
    if path.suffix.lower() not in DRIVERS or not find_spec("rasterio"):
        return False
    try:
        with open_raster(path) as data, reading(path):
            if place_of(data).known:
                return True
            if is_palette(data):
                return False
            banded = data.count > 1 and data.profile.get("interleave") == "band"
            beyond = data.dtypes[0] not in {"uint8", "uint16"} or (banded and data.dtypes[0] == "uint16")
            return asked or beyond or not pillow_opens(path)
    except SmoosegError:
        return False  # Pillow says what is wrong with it


def pillow_opens(path: Path) -> bool:
    """Whether Pillow knows the layout of a file."""
    try:
        with open_image(path):
            return True
    except Exception:  # damage surfaces as whatever the bytes lead it to
        return False
