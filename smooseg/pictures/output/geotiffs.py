"""Masks of rasters: tiled GeoTIFFs in the same place, with colours and names; polygons as a GeoPackage."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from ...errors import SmoosegError
from ...images.datasets import VOID
from ...images.gdal import quiet
from ...images.rasters import Raster
from ...running.files import write_whole
from .legend import Legend
from .masks import BAND, NAMES, RECORD, palette_image, scaled_bands
from .overlays import save_overlay

OVERVIEW = 2048  # pixels of an overlay's longer side, at most
RESERVED = ("gpkg", "sqlite_")  # what no layer's name may begin with


def write_raster_mask(clusters: np.ndarray, legend: Legend, raster: Raster, record: dict, path: Path) -> dict:
    """Write an overlay, then the mask with its names, each whole or not at all.

    Args:
        clusters: uint8 (rows, columns), of the view; may be a file, of which a few rows at a time are read.
        legend: Of the mask's ids.
        raster: What they are of.
        record: JSON-able facts to keep in the mask.
        path: GeoTIFF to write.

    Returns:
        The record, with the pixels of each id.
    """
    import rasterio

    write_overview(clusters, legend, raster, path)
    names = legend.names | {VOID: "void"}
    profile = {"driver": "GTiff", "width": raster.width, "height": raster.height, "count": 1, "dtype": "uint8"}
    profile |= raster.place.profile | {"nodata": VOID, "bigtiff": "if_safer"}
    profile |= {"tiled": True, "blockxsize": BAND, "blockysize": BAND, "compress": "deflate"}
    counts = np.zeros(VOID + 1, np.int64)
    with write_whole(path) as aside, beside(aside) as kept:
        with quiet(), rasterio.open(aside, "w", **profile) as mask:
            mask.write_colormap(1, {i: (*map(int, legend.palette[i]), 255) for i in names if i != VOID})
            for start, band in bands_with_void(clusters, legend, raster):
                counts += np.bincount(band.ravel(), minlength=VOID + 1)
                mask.write(band, 1, window=rasterio.windows.Window(0, start, raster.width, len(band)))
            record = record | {"pixels": {str(i): int(counts[i]) for i in names}}
            mask.update_tags(**{RECORD: json.dumps(record)})
        with write_whole(path.with_name(path.name + NAMES)) as sidecar:
            sidecar.write_bytes(with_category_names(kept, names))
    return record


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Where GDAL keeps what a GeoTIFF has no place for, as some coordinate systems; removed in the end."""
    kept = path.with_name(path.name + NAMES)
    try:
        yield kept
    finally:
        kept.unlink(missing_ok=True)


def bands_with_void(clusters: np.ndarray, legend: Legend, raster: Raster) -> Iterator[tuple[int, np.ndarray]]:
    """Bands of rows of a raster's mask at full size, each with its first row."""
    for start, band in scaled_bands(clusters, raster.height, raster.width, legend.ids):
        band[raster.void(band.shape, (start, start + len(band)))] = VOID
        yield start, band


def write_overview(clusters: np.ndarray, legend: Legend, raster: Raster, path: Path) -> None:
    """Write the overlay of a raster, as small as it must be."""
    scale = min(1, OVERVIEW / max(raster.width, raster.height))
    size = max(1, round(raster.width * scale)), max(1, round(raster.height * scale))
    photo = Image.fromarray(raster.read((0, raster.height), (0, raster.width), size[::-1]))
    middles = [(np.arange(n) * 2 + 1) * length // (2 * n) for n, length in zip(size[::-1], clusters.shape, strict=True)]
    mask = np.array(legend.ids(clusters[np.ix_(*middles)]))
    mask[raster.void(size[::-1])] = VOID
    save_overlay(photo, palette_image(mask, legend), legend, path)


def with_category_names(kept: Path, names: dict[int, str]) -> bytes:
    """Names of ids as GDAL keeps them beside a file, with what it left there of its own."""
    root = ElementTree.parse(kept).getroot() if kept.exists() else ElementTree.Element("PAMDataset")
    band = root.find("PAMRasterBand")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1") if band is None else band
    categories = ElementTree.SubElement(band, "CategoryNames")
    for i in range(max(names) + 1):
        ElementTree.SubElement(categories, "Category").text = names.get(i, "")
    return ElementTree.tostring(root, "utf-8")


def write_polygons(clusters: np.ndarray, legend: Legend, raster: Raster, path: Path) -> None:
    """Write the outlines of a view's ids, in the raster's coordinates, as a GeoPackage; void has none.

    Args:
        clusters: uint8 (rows, columns), of the view: outlines are as fine as what the backbone saw.
        legend, raster: As of :func:`write_raster_mask`.
        path: GeoPackage to write.

    Raises:
        SmoosegError: If GDAL does not write it.
    """
    import pyogrio
    import shapely
    from affine import Affine
    from rasterio.features import shapes

    rows, columns = clusters.shape
    known = ~raster.void((rows, columns))
    ids = np.array(legend.ids(clusters))
    known &= ids != VOID
    pixels = Affine.scale(raster.width / columns, raster.height / rows)  # of the raster, for one of the view
    found = [(shapely.geometry.shape(one), int(i)) for one, i in shapes(ids, known, transform=pixels)]
    numbers = np.array([i for _, i in found], np.int32)
    names = np.array([legend.names[i] for i in numbers.tolist()], object)
    crs = raster.place.crs.to_wkt(version="WKT2_2019") if raster.place.mapped else None
    layer = {"crs": crs, "layer": layer_name(path.stem)}
    with TemporaryDirectory() as folder, write_whole(path) as aside:  # pyogrio takes ! in a path for part of an archive
        written = Path(folder) / "outlines.gpkg"
        outlines = shapely.transform([shape for shape, _ in found], raster.place.coordinates)
        fields = {"geometry": shapely.to_wkb(outlines), "field_data": [numbers, names], "fields": ["id", "name"]}
        try:
            with quiet():
                pyogrio.raw.write(written, **fields, **layer, geometry_type="Polygon", driver="GPKG")
        except RuntimeError as error:  # all of pyogrio's
            raise SmoosegError(f"{path}: outlines cannot be written ({error})") from error
        shutil.copyfile(written, aside)


def layer_name(stem: str) -> str:
    """What the layer of a picture's outlines is called: as the picture, with a word before what GeoPackage refuses."""
    name = "".join(letter if letter.isprintable() else " " for letter in stem)
    return f"mask {name}" if not name[0].isalnum() or name.lower().startswith(RESERVED) else name
