"""The folder layout with rasters among the images, which are read by windows; labels lie on the same grid."""

import glob
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...errors import SmoosegError
from ..rasters import DRIVERS, is_raster, open_raster, require_rasterio
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
    if not is_raster(label) or not is_raster(image):
        return
    with open_raster(label) as one, open_raster(image) as other:
        placed = one.crs and other.crs
        if placed and (one.crs != other.crs or not one.transform.almost_equals(other.transform, 1e-6)):
            raise SmoosegError(f"{label}: lies elsewhere than {image}; labels are of the same grid")
