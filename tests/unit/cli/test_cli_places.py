"""``smooseg segment`` on rasters placed in uncommon ways, and on bad ones among others: nothing is lost silently."""

import csv
import warnings

import numpy as np
import pytest
import rasterio
import rasterio.enums
from pyogrio import raw
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC
from shapely import from_wkb

from smooseg.images.gdal import is_raster
from smooseg.images.rasters import Raster
from smooseg.pictures.photos import decode_photo
from tests.support.rasters import HEIGHT, PLACE, WIDTH, check_polygons, mask_of, pixels, segment, write
from tests.support.segmenting import CLUSTERS, SIZE, picture, run
from tests.support.segmenting import head as head  # a fixture

ROTATED = "+proj=ob_tran +o_proj=longlat +o_lon_p=-162 +o_lat_p=39.25 +lon_0=180"
POINTS = [
    GroundControlPoint(row, column, 500_000 + 0.5 * column + 0.02 * row, 5_000_000 - 0.5 * row + 0.01 * column)
    for row, column in ((0, 0), (0, WIDTH), (HEIGHT, 0), (HEIGHT, WIDTH), (HEIGHT / 2, WIDTH / 2))
]
CAMERA = {"height_off": 1.0, "height_scale": 1.0, "lat_off": 45.0, "lat_scale": 1.0, "line_off": 96.0, "err_bias": 0.5}
CAMERA |= {"line_scale": 96.0, "long_off": 15.0, "long_scale": 1.0, "samp_off": 128.0, "samp_scale": 128.0}
CAMERA |= {"line_num_coeff": [0.0, 0.0, 1.0] + [0.0] * 17, "line_den_coeff": [1.0] + [0.0] * 19, "err_rand": 0.25}
CAMERA |= {"samp_num_coeff": [0.0, 1.0] + [0.0] * 18, "samp_den_coeff": [1.0] + [0.0] * 19}
COLOURS = {0: (90, 140, 220, 255), 1: (40, 160, 60, 255), 2: (250, 240, 80, 255)}


def of_colours(dtype=np.uint8):
    """Numbers of a palette, (1, height, width), that show what a picture does."""
    table = np.array([colour[:3] for colour in COLOURS.values()])
    apart = np.abs(pixels()[None].astype(int) - table[:, :, None, None]).sum(1)
    return apart.argmin(0).astype(dtype)[None]


@pytest.mark.parametrize("crs", ["EPSG:32633+4326", ROTATED, "EPSG:32633+5773", "EPSG:4979"])
def test_a_mask_keeps_a_coordinate_system_that_geotiff_cannot_hold(head, tmp_path, crs):
    write(tmp_path / "ell.tif", pixels(), crs=crs, transform=PLACE["transform"])
    out = tmp_path / "masks"
    result = segment(head, out, tmp_path / "ell.tif", "--polygons")
    assert result.exit_code == 0, result.output
    with rasterio.open(tmp_path / "ell.tif") as image, rasterio.open(out / "ell.tif") as mask:
        assert mask.crs == image.crs == CRS.from_user_input(crs)
        assert mask.transform == PLACE["transform"]
    assert "<Category>cluster 2</Category>" in (out / "ell.tif.aux.xml").read_text("utf-8")
    left = {path.name for path in out.iterdir()} - {"areas.csv", "legend.csv", "shares.csv"}
    assert left == {"ell.gpkg", "ell.overlay.jpg", "ell.tif", "ell.tif.aux.xml"}
    assert CRS.from_user_input(raw.read(out / "ell.gpkg")[0]["crs"]) == CRS.from_user_input(crs)


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:32633+4326"])
def test_control_points_are_carried_to_the_mask_and_place_its_outlines(head, tmp_path, crs):
    write(tmp_path / "points.tif", pixels(), crs=crs, gcps=POINTS)
    out = tmp_path / "masks"
    result = segment(head, out, tmp_path / "points.tif", "--polygons")
    assert result.exit_code == 0, result.output
    with rasterio.open(out / "points.tif") as mask:
        points, found = mask.gcps
        assert found == CRS.from_user_input(crs)
    assert [(p.row, p.col, p.x, p.y) for p in points] == [(p.row, p.col, p.x, p.y) for p in POINTS]
    meta, _, shapes, _ = raw.read(out / "points.gpkg")
    west, south, east, north = np.array([shape.bounds for shape in from_wkb(shapes)]).T
    assert CRS.from_user_input(meta["crs"]) == CRS.from_user_input(crs)
    np.testing.assert_allclose([west.min(), north.max()], [500_000, 5_000_000 + 0.01 * WIDTH], atol=1e-3)
    np.testing.assert_allclose([east.max(), south.min()], [500_000 + 0.5 * WIDTH + 0.02 * HEIGHT, 4_999_904], atol=1e-3)
    assert not (out / "areas.csv").exists()


def test_a_camera_s_coefficients_are_carried_to_the_mask(head, tmp_path):
    write(tmp_path / "camera.tif", pixels(), rpcs=RPC(**CAMERA))
    result = segment(head, tmp_path / "masks", tmp_path / "camera.tif")
    assert result.exit_code == 0, result.output
    with rasterio.open(tmp_path / "masks" / "camera.tif") as mask:
        assert mask.rpcs == RPC(**CAMERA)


def test_a_georeferenced_palette_is_seen_in_its_colours_and_its_mask_lies_there(head, tmp_path):
    with rasterio.open(write(tmp_path / "pal.tif", of_colours(), nodata=9, **PLACE), "r+") as data:
        data.write_colormap(1, COLOURS)
    raster = Raster(tmp_path / "pal.tif")
    table = np.array([colour[:3] for colour in COLOURS.values()])
    seen = raster.read((0, HEIGHT), (0, WIDTH), (HEIGHT, WIDTH))
    np.testing.assert_array_equal(seen, table[of_colours()[0]])
    half = raster.read((0, HEIGHT), (0, WIDTH), (HEIGHT // 2, WIDTH // 2)).astype(float)
    means = table[of_colours()[0]].reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean((1, 3))
    assert abs(half - means).max() <= 0.5  # of colours, not of their numbers
    write(tmp_path / "rgb.tif", seen.transpose(2, 0, 1), **PLACE)
    out = tmp_path / "masks"
    result = segment(head, out, tmp_path / "pal.tif", tmp_path / "rgb.tif", "--polygons")
    assert result.exit_code == 0, result.output
    with rasterio.open(out / "pal.tif") as mask:
        assert (mask.crs.to_string(), mask.transform) == (PLACE["crs"], PLACE["transform"])
    np.testing.assert_array_equal(mask_of(out / "pal.tif"), mask_of(out / "rgb.tif"))
    check_polygons(out / "pal.gpkg", mask_of(out / "pal.tif"))


def test_a_palette_s_nodata_is_one_of_its_numbers(tmp_path):
    numbers = of_colours()
    for name, place in (("placed.tif", PLACE), ("plain.tif", {})):
        with rasterio.open(write(tmp_path / name, numbers, nodata=2, **place), "r+") as data:
            data.write_colormap(1, COLOURS)
    assert is_raster(tmp_path / "placed.tif") and not is_raster(tmp_path / "plain.tif")
    np.testing.assert_array_equal(Raster(tmp_path / "placed.tif").void((HEIGHT, WIDTH)), numbers[0] == 2)
    np.testing.assert_array_equal(decode_photo(tmp_path / "plain.tif").void, numbers[0] == 2)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_geotiff_of_few_bits_is_black_to_white_and_its_mask_lies_there(head, tmp_path, bits):
    numbers = of_colours() % (1 << bits)
    path = write(tmp_path / "few.tif", numbers, nbits=bits, **PLACE)
    assert is_raster(path)
    seen = Raster(path).read((0, HEIGHT), (0, WIDTH), (HEIGHT, WIDTH))
    np.testing.assert_array_equal(seen[..., 0], np.round(numbers[0] * (255.0 / ((1 << bits) - 1))))
    if bits == 1:
        assert segment(head, tmp_path / "masks", path).exit_code == 0
        with rasterio.open(tmp_path / "masks" / "few.tif") as mask:
            assert (mask.crs.to_string(), mask.transform) == (PLACE["crs"], PLACE["transform"])


def test_one_complex_raster_does_not_stop_the_others(head, tmp_path):
    folder, out = tmp_path / "photos", tmp_path / "masks"
    folder.mkdir()
    write(folder / "radar.tif", pixels()[:1].astype(np.complex64), **PLACE)
    for i in range(3):
        write(folder / f"ortho{i}.tif", pixels(i), **PLACE)
    picture(WIDTH, HEIGHT).save(folder / "photo.png")
    result = run(folder, "--head", head, "--out", out, "--batch", 2)
    assert result.exit_code == 1
    assert f"{folder / 'radar.tif'}: holds complex numbers, which are no picture; save their magnitude" in result.stderr
    assert "defect" not in result.stderr and not (out / "radar.tif").exists()
    rows = list(csv.DictReader((out / "shares.csv").open()))
    assert [row["mask"] for row in rows] == [*(f"ortho{i}.tif" for i in range(3)), "photo.png"]
    assert (out / "legend.csv").is_file()


def test_alpha_beside_more_than_three_bands_is_void(head, tmp_path):
    alpha = np.full((1, HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, :, WIDTH // 2 :] = 0
    path = write(tmp_path / "five.tif", np.concatenate([pixels(), pixels()[:1], alpha]), **PLACE)
    with rasterio.open(path, "r+") as data:
        data.colorinterp = [rasterio.enums.ColorInterp[name] for name in ("red", "green", "blue", "undefined", "alpha")]
    out = tmp_path / "masks"
    result = segment(head, out, path, "--polygons")
    assert result.exit_code == 0, result.output
    mask = mask_of(out / "five.tif")
    assert (mask[:, WIDTH // 2 :] == 255).all() and (mask[:, : WIDTH // 2] < CLUSTERS).all()
    assert next(csv.DictReader((out / "shares.csv").open()))["void"] == "50.0"
    assert next(csv.DictReader((out / "areas.csv").open()))["void"] == str(0.25 * HEIGHT * WIDTH / 2)
    check_polygons(out / "five.gpkg", mask)


def test_all_void_is_written_too(head, tmp_path):
    path = write(
        tmp_path / "gap.tif", np.full((3, HEIGHT, WIDTH), -1, np.int16), nodata=-1, crs="EPSG:32632", gcps=POINTS
    )
    result = segment(head, tmp_path / "masks", path, "--polygons")
    assert result.exit_code == 0, result.output
    assert (mask_of(tmp_path / "masks" / "gap.tif") == 255).all()
    assert not len(raw.read(tmp_path / "masks" / "gap.gpkg")[2])


def test_nothing_that_a_library_says_reaches_the_terminal(head, tmp_path, capfd):
    values = pixels().astype(np.float32)
    write(tmp_path / "nowhere.tif", values)
    values[np.random.default_rng(0).random(values.shape) < 0.06] = np.nan
    values[:, 0, 0], values[:, 0, 1] = np.inf, -np.inf
    write(tmp_path / "gaps.tif", values, crs="EPSG:32633+4326", transform=PLACE["transform"])
    write(tmp_path / "points.tif", pixels(), crs="EPSG:32632", gcps=POINTS)
    capfd.readouterr()
    images = [tmp_path / name for name in ("nowhere.tif", "gaps.tif", "points.tif")]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        result = run(*images, "--head", head, "--out", tmp_path / "masks", "--scale", 0.5, "--tile", SIZE, "--polygons")
    assert result.exit_code == 0, result.output
    assert [str(one.message) for one in said if issubclass(one.category, UserWarning | RuntimeWarning)] == []
    assert capfd.readouterr() == ("", "")  # of GDAL, which Python's streams do not see
    assert result.stderr.splitlines() == [f"3 masks in {tmp_path / 'masks'}; 3 of 3 clusters occur"]
