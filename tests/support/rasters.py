"""Rasters with a place, and what the command makes of them."""

import numpy as np
import rasterio
from affine import Affine
from pyogrio import raw
from shapely import from_wkb

from tests.support.segmenting import CLUSTERS, SIZE, picture, run

PLACE = {"crs": "EPSG:32632", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)}
WIDTH, HEIGHT = 256, 192


def write(path, values, **profile):
    """A GeoTIFF of values (bands, height, width)."""
    shape = {"count": len(values), "height": values.shape[1], "width": values.shape[2]}
    with rasterio.open(path, "w", driver="GTiff", dtype=values.dtype, **shape, **profile) as data:
        data.write(values)
    return path


def pixels(seed=0):
    """A picture's values, (3, height, width)."""
    return np.asarray(picture(WIDTH, HEIGHT, seed)).transpose(2, 0, 1)


def segment(head, out, *images):
    return run(*images, "--head", head, "--out", out, "--scale", 1, "--tile", SIZE)


def mask_of(path):
    with rasterio.open(path) as data:
        return data.read(1)


def check_polygons(path, mask):
    """Areas of outlines are those of the mask, in its place (pixels of a quarter of a square metre)."""
    meta, _, shapes, (numbers, names) = raw.read(path)
    assert meta["crs"] == PLACE["crs"]
    shapes = from_wkb(shapes)
    for i in range(CLUSTERS):
        assert sum(shape.area for shape in shapes[numbers == i]) == 0.25 * (mask == i).sum()
    assert {f"cluster {i}" for i in numbers} == set(names)
    assert shapes[0].bounds[0] >= 500_000 and shapes[0].bounds[3] <= 5_000_000
