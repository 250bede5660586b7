"""Views of rasters: windows that are read without the rest, in data sets of the layout ``raster``."""

import json
import shutil

import numpy as np
import pytest
import rasterio.shutil
from affine import Affine
from PIL import Image

from smooseg.errors import SmoosegError
from smooseg.features.provenance import median_scale, raster_needs
from smooseg.images.datasets import open_dataset
from smooseg.images.imaging import raster_sha256, read_views, read_views_and_void
from smooseg.images.indexing import index_views
from smooseg.images.views import window_boxes
from tests.unit.cli.test_cli_rasters import HEIGHT, PLACE, WIDTH, pixels, write

SIZE = 64


@pytest.fixture
def root(tmp_path):
    """A data set of one raster, with its label on the same grid, and one picture."""
    for kind in ("images", "labels"):
        (tmp_path / kind / "train").mkdir(parents=True)
    write(tmp_path / "images" / "train" / "ortho.tif", pixels(), **PLACE)
    Image.fromarray(pixels(1).transpose(1, 2, 0)).save(tmp_path / "images" / "train" / "photo.png")
    ids = (pixels()[:1] > 128).astype(np.uint8)
    write(tmp_path / "labels" / "train" / "ortho.tif", ids, **PLACE)
    return tmp_path


def dataset_of(root, scale=1, bands=None):
    settings = {"scale": scale, "bands": bands}
    return open_dataset({"layout": "raster", "root": root, "classes": ["dark", "light"], "settings": settings})


def index(root, size=SIZE, evaluation=False, **settings):
    return index_views(dataset_of(root, **settings), "train", "five", size, evaluation, 1)


@pytest.mark.parametrize(
    ("width", "height", "side", "views"), [(256, 192, 64, 12), (250, 190, 64, 12), (50, 90, 64, 2)]
)
def test_windows_cover_a_raster_and_lie_within_it(width, height, side, views):
    covered = np.zeros((height, width), bool)
    boxes = window_boxes(width, height, side)
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert right - left == bottom - top == min(side, width, height)
        covered[top:bottom, left:right] = True
    assert covered.all() and len(boxes) == len(set(boxes)) == views


def test_a_window_shows_the_pixels_of_its_box(root):
    manifest = index(root)
    ours = manifest[manifest["raster"] != ""]
    assert (len(ours), len(manifest)) == (WIDTH // SIZE * (HEIGHT // SIZE), len(ours) + 5)
    views = read_views(root, ours, SIZE, "bilinear")
    for view, row in zip(views, ours.itertuples(), strict=True):
        np.testing.assert_array_equal(view, pixels()[:, row.top : row.bottom, row.left : row.right].transpose(1, 2, 0))
    halves = index(root, SIZE // 2, scale=0.5)
    assert set(halves["right"] - halves["left"]) == {SIZE, 96}  # of the raster, of the picture
    assert median_scale(halves) == 0.5
    assert raster_needs(manifest) == {"bands": [1, 2, 3]}
    mirrored = index(root, evaluation=True)
    one, other = read_views(root, mirrored.iloc[:2], SIZE, "bilinear")
    np.testing.assert_array_equal(one[:, ::-1], other)


def test_pictures_alone_have_the_manifest_that_they_ever_had(root):
    (root / "images" / "train" / "ortho.tif").unlink()
    manifest = index(root)
    assert "raster" not in manifest and raster_needs(manifest) == {}


def test_windows_without_values_are_left_out_and_others_say_what_is_void(root):
    values = pixels().astype(np.int16)
    values[:, :, :80] = -1
    write(root / "images" / "train" / "ortho.tif", values, nodata=-1, **PLACE)
    manifest = index(root)
    ours = manifest[manifest["raster"] != ""]
    assert sorted(set(ours["left"])) == [64, 128, 192]
    _, void = read_views_and_void(root, ours, SIZE, "bilinear")
    assert void[(ours["left"] == 64).to_numpy()][..., :16].all()
    assert void.sum() == 3 * 16 * SIZE


def test_all_values_are_scaled_by_the_percentiles_of_the_whole_raster(root):
    values = np.concatenate([pixels() * 0, pixels()]).astype(np.float32) * 7
    write(root / "images" / "train" / "ortho.tif", values, **PLACE)
    manifest = index(root, bands=[6, 5, 4])
    seen = json.loads(manifest["raster"][0])
    assert seen["bands"] == [6, 5, 4]
    np.testing.assert_allclose(seen["limits"], [np.percentile(band, (2, 98)) for band in values[[5, 4, 3]]])
    with pytest.raises(SmoosegError, match=r"ortho\.tif: has 6 bands, and band 7 is asked for"):
        index(root, bands=[7])
    with pytest.raises(SmoosegError, match=r"ortho\.tif: bands \[1, 2\] were chosen; give one, or three"):
        index(root, bands=[1, 2])


def test_a_raster_that_changed_is_refused_and_so_is_one_that_a_vrt_names(root):
    folder = root / "images" / "train"
    shutil.move(folder / "ortho.tif", root / "tile.tif")
    rasterio.shutil.copy(root / "tile.tif", folder / "ortho.vrt", driver="VRT")
    manifest, before = index(root), raster_sha256(folder / "ortho.vrt")
    assert manifest["image"][0] == "images/train/ortho.vrt"
    read_views(root, manifest[:1], SIZE, "bilinear")
    write(root / "tile.tif", pixels(2), **PLACE)
    assert raster_sha256(folder / "ortho.vrt") != before
    with pytest.raises(SmoosegError, match=r"ortho\.vrt: changed since it was indexed"):
        read_views(root, manifest[:1], SIZE, "bilinear")


def test_labels_lie_where_their_image_does(root):
    dataset = dataset_of(root)
    (entry,) = (entry for entry in dataset.entries("train") if entry.label)
    np.testing.assert_array_equal(dataset.read_label(root / entry.label), pixels()[0] > 128)
    elsewhere = PLACE | {"transform": PLACE["transform"] @ Affine.translation(1, 0)}
    write(root / entry.label, np.zeros((1, HEIGHT, WIDTH), np.uint8), **elsewhere)
    with pytest.raises(SmoosegError, match=r"labels/train/ortho\.tif: lies elsewhere than .*images/train/ortho\.tif"):
        dataset.read_label(root / entry.label)


def test_without_rasterio_the_layout_says_what_to_install(root, monkeypatch):
    monkeypatch.setattr("smooseg.images.rasters.find_spec", lambda name: None)
    with pytest.raises(
        SmoosegError, match=r"ortho\.tif: rasters need rasterio, which is not installed here; pip install"
    ):
        index(root)
