"""Views of rasters: windows that are read without the rest, in data sets of the layout ``raster``."""

import json
import logging
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio.shutil
from affine import Affine
from PIL import Image
from rasterio.enums import ColorInterp

from smooseg.errors import SmoosegError
from smooseg.features.provenance import median_scale, raster_needs
from smooseg.images import resampling
from smooseg.images.datasets import open_dataset
from smooseg.images.imaging import raster_sha256, read_views, read_views_and_void
from smooseg.images.indexing import index_views
from smooseg.images.rasters import Raster
from smooseg.images.views import window_boxes
from tests.support.rasters import HEIGHT, PLACE, WIDTH, pixels, write

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
    monkeypatch.setattr("smooseg.images.gdal.find_spec", lambda name: None)
    with pytest.raises(
        SmoosegError, match=r"ortho\.tif: rasters need rasterio, which is not installed here; pip install"
    ):
        index(root)


def test_a_band_s_nodata_is_no_value_of_it_though_others_have_one(tmp_path):
    values = np.random.default_rng(0).integers(1000, 2000, (3, HEIGHT, WIDTH)).astype(np.int16)
    values[1, :, : WIDTH // 4] = -32768
    values[:, : HEIGHT // 4] = -32768
    raster = Raster(write(tmp_path / "gap.tif", values, nodata=-32768, **PLACE))
    known = values != -32768
    expected = [np.percentile(band[there], (2, 98)) for band, there in zip(values, known, strict=True)]
    np.testing.assert_allclose(raster.limits, expected)
    pixels, void = raster.read_with_void((0, HEIGHT), (0, WIDTH), (HEIGHT, WIDTH))
    np.testing.assert_array_equal(void, ~known.any(0))
    assert set(pixels[..., 1][~known[1]]) == {raster.colour[1]}  # a missing band has its mean, not black
    assert abs(pixels[..., 1][known[1]].mean() - raster.colour[1]) < 1


@pytest.mark.parametrize("nodata", [None, np.nan, -9999])
def test_scattered_gaps_void_what_they_are_at_every_scale(tmp_path, nodata):
    rng = np.random.default_rng(0)
    values = rng.random((1, HEIGHT, WIDTH)).astype(np.float32)
    gap = rng.random((HEIGHT, WIDTH)) < 0.06
    values[0, gap] = np.nan if nodata is None else nodata
    values[:, :16, :16] = np.inf if nodata is None else nodata
    gap[:16, :16] = True
    raster = Raster(write(tmp_path / "gaps.tif", values, nodata=nodata, **PLACE))
    low, high = raster.limits[0]
    for scale in (1, 2, 4):
        shape = HEIGHT // scale, WIDTH // scale
        pixels, void = raster.read_with_void((0, HEIGHT), (0, WIDTH), shape)
        blocks = [part.reshape(shape[0], scale, shape[1], scale) for part in (np.where(gap, 0, values[0]), ~gap)]
        sums, counts = (part.sum((1, 3)) for part in blocks)
        np.testing.assert_array_equal(void, counts == 0)
        means = (sums / np.maximum(counts, 1))[~void]
        expected = ((means - low) / (high - low)).clip(0, 1) * 255
        assert abs(pixels[..., 0][~void] - expected).max() <= 0.51
    _, between = raster.read_with_void((0, HEIGHT), (0, WIDTH), (HEIGHT * 5 // 8, WIDTH * 5 // 8))
    assert between[:9, :9].all() and between.sum() < 110  # bilinear, too
    np.testing.assert_array_equal(raster.void((HEIGHT, WIDTH)), gap)


def test_alpha_beside_more_than_three_bands_hides_what_lies_under_it(root):
    path = root / "images" / "train" / "ortho.tif"
    alpha = np.full((1, HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, :, :80] = 0
    alpha[:, :, 80:100] = 128  # half-transparent is not void
    kinds = ("red", "green", "blue", "undefined", "alpha")
    values = np.concatenate([np.where(alpha, pixels(), 0), pixels()[:1], alpha])
    for dtype in (np.uint8, np.int16):
        with rasterio.open(write(path, values.astype(dtype), **PLACE), "r+") as data:
            data.colorinterp = [ColorInterp[kind] for kind in kinds]
        manifest = index(root)
        ours = manifest[manifest["raster"] != ""]
        assert sorted(set(ours["left"])) == [64, 128, 192]
        _, void = read_views_and_void(root, ours, SIZE, "bilinear")
        assert void.sum() == 3 * 16 * SIZE
        shown, void = Raster(path).read_with_void((0, HEIGHT), (0, WIDTH), (HEIGHT // 4, WIDTH // 4))
        np.testing.assert_array_equal(void, np.broadcast_to(np.arange(WIDTH // 4) < 20, void.shape))
        if dtype == np.uint8:  # the border takes nothing from what is transparent
            means = pixels().reshape(3, HEIGHT // 4, 4, WIDTH // 4, 4).mean((2, 4)).transpose(1, 2, 0)
            assert abs(shown[:, 20:] - means[:, 20:]).max() <= 0.51


def test_a_georeferenced_palette_is_cut_into_windows_of_its_colours(root):
    path = root / "images" / "train" / "ortho.tif"
    ids = (pixels()[:1] > 128).astype(np.uint8)
    with rasterio.open(write(path, ids, **PLACE), "r+") as data:
        data.write_colormap(1, {0: (10, 20, 30, 255), 1: (200, 100, 50, 255)})
    manifest = index(root)
    ours = manifest[manifest["raster"] != ""]
    assert (len(ours), raster_needs(ours)) == (WIDTH // SIZE * (HEIGHT // SIZE), {"bands": [1, 2, 3]})
    view = read_views(root, ours[:1], SIZE, "bilinear")[0]
    np.testing.assert_array_equal(view, np.array([[10, 20, 30], [200, 100, 50]])[ids[0, :SIZE, :SIZE]])


def test_a_small_copy_is_made_in_parts_of_a_row_each(tmp_path, monkeypatch):
    values = np.random.default_rng(0).random((1, HEIGHT, WIDTH)).astype(np.float32)
    raster = Raster(write(tmp_path / "gaps.tif", values, **PLACE))
    for shape in ((24, 32), (HEIGHT - 50, WIDTH - 61)):
        whole = raster.read((3.5, HEIGHT - 2.25), (1.25, WIDTH - 7), shape)
        monkeypatch.setattr(resampling, "AT_ONCE", 1)
        np.testing.assert_allclose(raster.read((3.5, HEIGHT - 2.25), (1.25, WIDTH - 7), shape), whole, atol=1)
        monkeypatch.undo()


def test_a_complex_raster_is_one_bad_image(root):
    write(root / "images" / "train" / "ortho.tif", pixels()[:1].astype(np.complex64), **PLACE)
    with pytest.raises(SmoosegError) as raised:
        index(root)
    assert str(raised.value).count("\n") <= 1
    assert "ortho.tif: holds complex numbers, which are no picture; save their magnitude" in str(raised.value)


def test_reading_a_raster_is_silent_and_leaves_warnings_as_they_were(tmp_path):
    path = write(tmp_path / "plain.tif", pixels())  # without a place, of which rasterio warns
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        before, level = list(warnings.filters), logging.getLogger("rasterio").level
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: Raster(path).read((0, HEIGHT), (0, WIDTH), (8, 8)), range(8)))
        assert not said
        assert warnings.filters == before and logging.getLogger("rasterio").level == level
