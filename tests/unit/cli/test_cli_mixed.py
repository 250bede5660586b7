"""``smooseg fit`` and ``segment`` on a folder as people have them: every file gets a mask, or one sentence why not."""

import csv

import numpy as np
import pytest
import rasterio
import yaml
from PIL import Image

from tests.support.deep import tiff
from tests.support.fitting import HEAD, fit
from tests.support.project import TINY
from tests.support.rasters import PLACE, write
from tests.support.rasters import mask_of as geotiff_ids
from tests.support.segmenting import ids, picture, run

SIZES = {  # width and height of the mask of each
    "camera.png": (8000, 6000),
    "deep.png": (120, 90),
    "ortho.tif": (700, 500),
    "panorama.png": (20_000, 2000),
    "small.png": (200, 150),
}
CUT = r"photos/cut.tif: image does not decode"


@pytest.fixture
def place(tmp_path, tiny_checkpoint, monkeypatch):
    """A folder with such files, and a catalogue that holds the tiny backbone, as the working directory."""
    photos = tmp_path / "photos"
    photos.mkdir()
    picture(1000, 750).resize((8000, 6000), Image.Resampling.NEAREST).save(photos / "camera.jpg", quality=50)
    picture(2000, 200, 1).resize((20_000, 2000), Image.Resampling.NEAREST).save(photos / "panorama.jpg", quality=50)
    picture(200, 150, 2).save(photos / "small.png")
    (photos / "deep.tif").write_bytes(tiff(np.asarray(picture(120, 90, 3)).astype(np.uint16) * 16, t281=4095))
    ortho = np.asarray(picture(700, 500, 4)).transpose(2, 0, 1).astype(np.int16)
    ortho[:, :, :200] = -1
    write(photos / "ortho.tif", ortho, nodata=-1, **PLACE)
    (photos / "cut.tif").write_bytes((photos / "deep.tif").read_bytes()[:500])
    (tmp_path / "tiny.safetensors").write_bytes(tiny_checkpoint.read_bytes())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(TINY))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mask_of(path):
    """Ids of a mask of either kind."""
    return ids(path) if path.suffix == ".png" else geotiff_ids(path)


def check_masks(folder):
    """Each mask is as large as its image, holds clusters, and void where there is no value."""
    rows = list(csv.DictReader((folder / "shares.csv").open()))
    assert {row["mask"]: (int(row["width"]), int(row["height"])) for row in rows} == SIZES
    for row in rows:
        mask = mask_of(folder / row["mask"])
        assert mask.shape == SIZES[row["mask"]][::-1]
        assert row["mask"] == "ortho.tif" or row["void"] == "0.0"
    with rasterio.open(folder / "ortho.tif") as data:
        assert (data.crs.to_string(), data.transform) == (PLACE["crs"], PLACE["transform"])
    mask = mask_of(folder / "ortho.tif")
    assert (mask[:, :200] == 255).all() and mask[:, 200:].max() < 3


def test_a_mixed_folder_is_fitted_on_and_segmented(place):
    refused = fit("photos", classes=3)
    assert (refused.exit_code, CUT in refused.stderr, (place / "out").exists()) == (1, True, False)
    fitted = fit("photos", "--skip-bad", classes=3)
    assert fitted.exit_code == 0, fitted.stderr
    assert fitted.stderr.startswith(f"left out: {CUT}")
    assert "ortho.tif: 1 images with more pixels than one view shows: 700x500 are seen as 704x496 in" in fitted.stderr
    check_masks(place / "out" / "masks")
    fitted_masks = {name: mask_of(place / "out" / "masks" / name) for name in SIZES}
    for name in SIZES.keys() - {"camera.png"}:  # which would take the longest again
        (place / "out" / "masks" / name).unlink()
    segmented = run("photos", "--head", HEAD, "--out", "out/masks")
    assert segmented.exit_code == 1
    assert segmented.stderr.count(CUT) == 1
    assert "5 masks in out/masks, 1 of them from an earlier run" in segmented.stderr
    assert "Error: 1 of the images given have no mask; each is named above" in segmented.stderr
    check_masks(place / "out" / "masks")
    for name, mask in fitted_masks.items():
        np.testing.assert_array_equal(mask_of(place / "out" / "masks" / name), mask)


def test_choices_for_rasters_need_a_raster(place):
    (place / "photos" / "ortho.tif").unlink()
    assert fit("photos/small.png", "--scale", 0.5).stderr == "Error: --scale is for rasters, and none was given\n"
    assert not (place / "out").exists()
