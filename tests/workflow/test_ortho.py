"""An orthophoto from GeoTIFF to named GeoTIFF and GeoPackage, in memory that depends on windows."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import yaml
from PIL import Image
from pyogrio import raw
from shapely import from_wkb

from tests.conftest import ROOT
from tests.support.project import TINY
from tests.support.rasters import PLACE

PHOTOGRAPHS = ROOT.parent / "shared" / "data" / "landcover" / "images" / "train"
WIDTH, HEIGHT, SIDE = 12_000, 9_000, 512  # of the orthophoto, and of a photograph in it (pixels)
HEAD = "work/results/experiments/kmeans/0/head.safetensors"
MOST = 2e6  # KB of a process: 0.9 GB are libraries


@pytest.fixture
def place(tmp_path, tiny_checkpoint, monkeypatch):
    """A folder with an orthophoto of photographs on a grid of coordinates, as the working directory."""
    if not PHOTOGRAPHS.is_dir():
        pytest.skip("landcover is not at ../shared/data/landcover")
    photographs = sorted(PHOTOGRAPHS.iterdir())
    shape = {"width": WIDTH, "height": HEIGHT, "count": 3, "dtype": "uint8"}
    with rasterio.open(tmp_path / "ortho.tif", "w", driver="GTiff", tiled=True, **shape, **PLACE) as data:
        for top in range(0, HEIGHT, SIDE):
            row = np.empty((3, SIDE, WIDTH), np.uint8)
            for left in range(0, WIDTH, SIDE):
                photograph = photographs[(top + left) // SIDE % len(photographs)]
                values = np.asarray(Image.open(photograph).convert("RGB")).transpose(2, 0, 1)
                row[:, :, left : left + SIDE] = values[:, :, : WIDTH - left]
            lines = min(SIDE, HEIGHT - top)
            data.write(row[:, :lines], window=rasterio.windows.Window(0, top, WIDTH, lines))
    (tmp_path / "tiny.safetensors").write_bytes(tiny_checkpoint.read_bytes())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(TINY))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def smooseg(*arguments: str) -> int:
    """Run the command to its end; returns the most memory (KB) that it or a process of it had."""
    code = "from smooseg.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return usage.ru_maxrss


@pytest.mark.slow
def test_an_orthophoto_becomes_a_named_map(place):
    fitting = ["--classes", "4", "--head", "kmeans", "--backbone", "tiny", "--scale", "0.25", "--out", "work"]
    assert smooseg("fit", "ortho.tif", *fitting) < MOST
    assert (place / "work" / "pictures" / "images" / "train" / "ortho.tif").is_symlink()  # no pixel was copied
    (place / "names.csv").write_text("cluster,name\n0,field\n1,wood\n2,field\n3,void\n")
    named = ["--head", HEAD, "--names", "names.csv", "--polygons", "--out", "named"]
    assert smooseg("segment", "ortho.tif", *named) < MOST
    with rasterio.open(place / "named" / "ortho.tif") as data:
        assert (data.width, data.height, data.transform) == (WIDTH, HEIGHT, PLACE["transform"])
        assert data.crs.to_string() == PLACE["crs"]
        mask, colours = data.read(1), data.colormap(1)
    with rasterio.open(place / "work" / "masks" / "ortho.tif") as data:
        clusters = data.read(1)
    expected = np.array([0, 1, 0, 255], np.uint8)[clusters]
    assert (mask != expected).mean() < 1e-4  # where ids are scaled up, clusters of one name vote together
    legend = list(csv.DictReader((place / "named" / "legend.csv").open()))
    assert [row["name"] for row in legend] == ["field", "wood", "void"]
    assert ["#{:02X}{:02X}{:02X}".format(*colours[i]) for i in (0, 1)] == [row["colour"] for row in legend[:2]]
    rasterio.shutil.copy(place / "named" / "ortho.tif", place / "copy.vrt", driver="VRT")
    assert "<Category>wood</Category>" in (place / "copy.vrt").read_text()  # the names as GDAL, and so QGIS, reads them
    shapes, (numbers, _) = raw.read(place / "named" / "ortho.gpkg")[2:]
    areas = np.array([shape.area for shape in from_wkb(shapes)])
    for i in (0, 1):  # outlines are as fine as the view, a quarter of the mask
        assert areas[numbers == i].sum() == pytest.approx(0.25 * (mask == i).sum(), rel=0.05)
