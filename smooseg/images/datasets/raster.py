"""The folder layout with rasters among the images, which are read by windows; labels lie on the same grid."""

import glob
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...errors import SmoosegError
from ..gdal import DRIVERS, is_raster, open_raster, reading, require_rasterio
from ..places import Place, place_of, require_same_corners
from .folder import Folder


class Rasters(Folder):
    """``images/{split}/**`` and, optionally, ``labels/{split}/**`` with the same stems, of rasters and pictures."""

    ALSO = tuple(DRIVERS)
    schema: ClassVar[dict] = {
        "properties": {
            "scale": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 8,
                "default": 1,
                "description": "Pixels of a view for one of a raster; windows cover it. Pictures have crops.",
            },
            "bands": {
                "type": ["array", "null"],
                "minItems": 1,
                "maxItems": 3,
                "items": {"type": "integer", "minimum": 1},
                "default": None,
                "description": "Numbers of one band or three; null takes red, green and blue, or the first.",
            },
        }
    }

    def is_raster(self, path: Path) -> bool:
        if path.suffix.lower() in DRIVERS:
            require_rasterio(path)
        return is_raster(path, bool(self.settings.get("bands")))

    def read_label(self, path: Path) -> np.ndarray:
        """Class ids of one label image, as the layout of folders reads them.

        Raises:
            SmoosegError: Also if the label lies elsewhere than its image.
        """
        folder = self.root / "labels"
        if path.is_relative_to(folder):
            name = path.relative_to(folder)
            for image in (self.root / "images" / name.parent).glob(f"{glob.escape(name.stem)}.*"):
                require_same_place(path, image)
        return super().read_label(path)


def require_same_place(label: Path, image: Path) -> None:
    """Raise if a label and its image have coordinates, and not the same."""
    one, other = find_place(label), find_place(image)
    if one and other:
        require_same_corners(label, image, one, other)


def find_place(path: Path) -> Place | None:
    """Where a file lies; None if GDAL does not open it."""
    if path.suffix.lower() not in DRIVERS or not find_spec("rasterio"):
        return None
    try:
        with open_raster(path) as data, reading(path):
            return place_of(data)
    except SmoosegError:
        return None  # whoever reads its pixels says what is wrong with it
