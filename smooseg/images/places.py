"""Where on Earth a raster lies: a coordinate system with an affine transform, control points or camera coefficients."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SmoosegError

TOLERANCE = 0.1  # pixels between the corners of a raster and those of its label: what rounding of coordinates gives
LEAST_POINTS = 3  # control points that place a raster


@dataclass(frozen=True)
class Place:
    """What a file says of its place.

    Args:
        width, height: Of the raster (pixels).
        crs: Its coordinate system; None where it says none.
        transform: From pixels to coordinates; the identity where it says none.
        points: Control points, which place it where the transform does not.
        camera: Coefficients (RPC) that place it where nothing else does.
    """

    width: int
    height: int
    crs: Any
    transform: Any
    points: tuple
    camera: Any

    @property
    def known(self) -> bool:
        """Whether the file says anything of its place."""
        return self.crs is not None or not self.transform.is_identity or bool(self.points) or self.camera is not None

    @property
    def mapped(self) -> bool:
        """Whether pixels have coordinates of a known system."""
        return self.crs is not None and (not self.transform.is_identity or len(self.points) >= LEAST_POINTS)

    @property
    def profile(self) -> dict:
        """What rasterio needs to write a file of the same place."""
        placed = {"gcps": list(self.points)} if self.points else {"transform": self.transform}
        return {"crs": self.crs, **placed} | ({"rpcs": self.camera} if self.camera else {})

    @property
    def affine(self) -> Any:
        """The transform; of control points the nearest one."""
        from rasterio.transform import from_gcps

        return from_gcps(self.points) if len(self.points) >= LEAST_POINTS else self.transform

    def coordinates(self, pixels: np.ndarray) -> np.ndarray:
        """Coordinates of pixels' corners, by the polynomial through the control points where there are such.

        Args:
            pixels: float (n, 2), columns and rows.

        Returns:
            float64 (n, 2), in the order of the transform: east or longitude first.
        """
        columns, rows = np.asarray(pixels, np.float64).T
        if len(self.points) < LEAST_POINTS:
            t = self.transform
            return np.stack([t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f], 1)
        from rasterio.transform import GCPTransformer

        with GCPTransformer(list(self.points)) as transformer:
            return np.stack(transformer.xy(rows, columns, offset="ul"), 1)

    def pixels_apart(self, other: "Place") -> float:
        """Most pixels of this raster between its corners and those of another; infinite where systems do not meet."""
        mine, theirs = (one.coordinates(one.corners) for one in (self, other))
        if self.crs != other.crs:
            theirs = convert(theirs, other.crs, self.crs)
        place = self.affine
        linear = np.array([[place.a, place.b], [place.d, place.e]])
        apart = np.abs(np.linalg.solve(linear, (theirs - mine).T)).max()
        return float(apart) if np.isfinite(apart) else np.inf

    @property
    def corners(self) -> np.ndarray:
        """Columns and rows of the four corners, float64 (4, 2)."""
        return np.array([[0, 0], [self.width, 0], [0, self.height], [self.width, self.height]], np.float64)


def place_of(data: Any) -> Place:
    """Where one of GDAL's data sets lies."""
    points, crs = data.gcps
    camera = None
    with suppress(Exception):  # of which a part is missing: nobody could place anything by it
        camera = data.rpcs
    place = Place(data.width, data.height, data.crs, data.transform, (), camera)
    return replace(place, crs=crs, points=tuple(points)) if points and place.transform.is_identity else place


def convert(coordinates: np.ndarray, source: Any, target: Any) -> np.ndarray:
    """Horizontal coordinates, float (n, 2), in another system; heights are none of its business, infinite if none.

    Systems that only differ in their heights give the same coordinates, and so do two names of one system.
    """
    from rasterio.warp import transform

    try:
        return np.stack(transform(source, target, *coordinates.T), 1)
    except Exception:  # PROJ knows no way between them
        return np.full(coordinates.shape, np.inf)


def require_same_corners(label: Path, image: Path, one: Place, other: Place) -> None:
    """Raise if a label and its image have coordinates, and not the same.

    Args:
        label, image: Their files.
        one, other: Where the label and the image lie.

    Raises:
        SmoosegError: If a corner of the label is more than :data:`TOLERANCE` pixels from the image's.
    """
    if not (one.mapped and other.mapped):
        return
    apart = other.pixels_apart(one)
    if apart > TOLERANCE:
        far = (
            f"by {apart:{'.3g' if apart < 1000 else ',.0f'}} pixels"
            if np.isfinite(apart)
            else "in another coordinate system"
        )
        raise SmoosegError(f"{label}: lies elsewhere than {image} ({far}); labels are of the same grid")
