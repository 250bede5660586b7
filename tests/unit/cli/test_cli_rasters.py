"""``smooseg segment`` on rasters: what GDAL opens comes in, masks that lie in the same place go out."""

import csv
import json

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from pyogrio import raw
from pyogrio.errors import DataSourceError
from shapely import from_wkb

from smooseg.images import gdal
from smooseg.images.rasters import Raster, RasterView
from smooseg.pictures.output.geotiffs import layer_name
from smooseg.pictures.photos import Photo
from tests.support.rasters import HEIGHT, PLACE, WIDTH, check_polygons, mask_of, pixels, segment, write
from tests.support.segmenting import CLUSTERS, ids, picture, run
from tests.support.segmenting import head as head  # a fixture


def test_a_mask_lies_where_its_raster_does_with_colours_and_names(head, tmp_path):
    write(tmp_path / "ortho.tif", pixels(), **PLACE)
    picture(WIDTH, HEIGHT).save(tmp_path / "photo.png")
    out = tmp_path / "masks"
    result = segment(head, out, tmp_path / "ortho.tif", tmp_path / "photo.png", "--polygons")
    assert result.exit_code == 0, result.output
    with rasterio.open(out / "ortho.tif") as data:
        assert (data.crs, data.transform) == (rasterio.crs.CRS.from_string(PLACE["crs"]), PLACE["transform"])
        assert (data.profile["tiled"], data.compression.name, data.nodata) == (True, "deflate", 255)
        legend = list(csv.DictReader((out / "legend.csv").open()))
        colours = data.colormap(1)
        assert ["#{:02X}{:02X}{:02X}".format(*colours[int(row["id"])]) for row in legend] == [
            row["colour"] for row in legend
        ]
    rasterio.shutil.copy(out / "ortho.tif", tmp_path / "copy.vrt", driver="VRT")
    assert "<Category>cluster 2</Category>" in (tmp_path / "copy.vrt").read_text()  # as GDAL reads them
    np.testing.assert_array_equal(mask_of(out / "ortho.tif"), ids(out / "photo.png"))
    ortho, photo = csv.DictReader((out / "shares.csv").open())
    assert ortho | {"image": "", "mask": ""} == photo | {"image": "", "mask": ""}
    check_polygons(out / "ortho.gpkg", mask_of(out / "ortho.tif"))
    (areas,) = csv.DictReader((out / "areas.csv").open())
    expected = 0.25 * np.bincount(mask_of(out / "ortho.tif").ravel(), minlength=CLUSTERS)
    assert [float(areas[f"cluster {i}"]) for i in range(CLUSTERS)] == expected.tolist()
    assert "2 of them from an earlier run" in segment(head, out, tmp_path / "ortho.tif", tmp_path / "photo.png").stderr


STEMS = (
    "[1]",
    "(1)",
    "-dash",
    ".dot",
    "gpkg_x",
    "GPKG",
    "sqlite_x",
    "SQLite_y",
    "a\nb",
    "a!b",
    "a'\"b",
    "x.zip!y",
    "+",
)


def test_outlines_of_any_name_lie_where_the_mask_does(head, tmp_path, monkeypatch):
    for folder in ("elsewhere", "in!side"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    pictures = [write(tmp_path / "in!side" / f"{stem}.tif", pixels(), **PLACE) for stem in STEMS]
    out = tmp_path / "masks!"
    result = segment(head, out, *pictures, "--polygons")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.glob("*.gpkg")) == sorted(f"{stem}.gpkg" for stem in STEMS)
    assert list((tmp_path / "elsewhere").iterdir()) == [] and not list(out.glob(".*.partial"))
    for stem in STEMS:
        (tmp_path / "read.gpkg").write_bytes((out / f"{stem}.gpkg").read_bytes())
        check_polygons(tmp_path / "read.gpkg", mask_of(out / f"{stem}.tif"))
    assert layer_name("ortho 3.v2") == "ortho 3.v2"


def test_outlines_that_cannot_be_written_are_one_sentence(head, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise DataSourceError("disk is full")

    monkeypatch.setattr(raw, "write", full)
    out = tmp_path / "masks"
    result = segment(head, out, write(tmp_path / "ortho.tif", pixels(), **PLACE), "--polygons")
    assert result.exit_code == 1
    assert f"{out / 'ortho.gpkg'}: outlines cannot be written (disk is full)" in result.stderr
    assert "defect" not in result.stderr and not [*out.glob("ortho*")]


@pytest.mark.parametrize("kind", ["four", "planar", "float", "vrt"])
def test_rasters_that_pillow_does_not_read_get_masks(head, tmp_path, kind):
    values = pixels().astype(np.uint16) * 40
    path = tmp_path / "deep.tif"
    if kind == "planar":
        write(path, values, interleave="band")
    elif kind == "float":
        write(path, values.astype(np.float32) / 7)
    else:
        write(path, np.concatenate([values, values[:1]]), **PLACE)
    if kind == "vrt":
        rasterio.shutil.copy(path, path.with_suffix(".vrt"), driver="VRT")
        path = path.with_suffix(".vrt")
    assert Photo(path, path).raster
    result = segment(head, tmp_path / "masks", path)
    assert result.exit_code == 0, result.output
    assert len(np.unique(mask_of(tmp_path / "masks" / "deep.tif"))) > 1
    with rasterio.open(tmp_path / "masks" / "deep.tif") as data:
        seen = json.loads(data.tags()["smooseg"])["seen"]
    low, high = np.percentile(values[0] / (7 if kind == "float" else 1), (2, 98))
    np.testing.assert_allclose(seen["1"], [low, high], rtol=1e-6)


def test_values_are_scaled_by_percentiles_of_the_whole_raster(tmp_path):
    values = np.linspace(100, 1100, WIDTH * HEIGHT).reshape(1, HEIGHT, WIDTH).astype(np.float32)
    raster = Raster(write(tmp_path / "ramp.tif", values))
    low, high = raster.limits[0]
    assert (low, high) == (pytest.approx(120), pytest.approx(1080))
    part = raster.read((96, 97), (0, WIDTH), (1, WIDTH))
    expected = ((values[0, 96:97] - low) / (high - low) * 255).round()
    np.testing.assert_array_equal(part, np.repeat(expected[..., None], 3, 2))
    deep = write(tmp_path / "deep.tif", np.full((3, 8, 8), 2048, np.uint16), interleave="band")
    assert Raster(deep, bits=12).read((0, 8), (0, 8), (8, 8))[0, 0].tolist() == [128] * 3  # as the head's own


def test_pixels_without_a_value_are_void(head, tmp_path):
    values = pixels().astype(np.int16)
    values[:, :, 128:] = -999
    out = tmp_path / "masks"
    result = segment(head, out, write(tmp_path / "half.tif", values, nodata=-999, **PLACE), "--polygons")
    assert result.exit_code == 0, result.output
    mask = mask_of(out / "half.tif")
    assert (mask[:, 128:] == 255).all() and (mask[:, :128] < CLUSTERS).all()
    assert next(csv.DictReader((out / "shares.csv").open()))["void"] == "50.0"
    check_polygons(out / "half.gpkg", mask)


def test_bands_can_be_chosen(head, tmp_path):
    values = pixels()
    path = write(tmp_path / "swapped.tif", np.concatenate([values[:1] * 0, values[::-1]]), **PLACE)
    write(tmp_path / "plain.tif", values, **PLACE)
    assert run(path, "--head", head, "--out", tmp_path / "a", "--scale", 1, "--bands", "4,3,2").exit_code == 0
    assert run(tmp_path / "plain.tif", "--head", head, "--out", tmp_path / "b", "--scale", 1).exit_code == 0
    np.testing.assert_array_equal(mask_of(tmp_path / "a" / "swapped.tif"), mask_of(tmp_path / "b" / "plain.tif"))
    beyond = run(path, "--head", head, "--out", tmp_path / "c", "--bands", "5")
    assert (beyond.exit_code, "has 4 bands, and band 5 is asked for" in beyond.stderr) == (1, True)
    assert (
        "--bands '1,x,2': give the number of one band"
        in run(path, "--head", head, "--out", tmp_path / "c", "--bands", "1,x,2").stderr
    )


def test_a_raster_is_read_in_parts_as_whole(tmp_path):
    raster = Raster(write(tmp_path / "ortho.tif", pixels(), **PLACE))
    view = RasterView(raster, (HEIGHT, WIDTH))
    whole = view.read(slice(0, HEIGHT), slice(0, WIDTH))
    np.testing.assert_array_equal(whole.transpose(2, 0, 1), pixels())
    np.testing.assert_array_equal(view.read(slice(16, 80), slice(64, 128)), whole[16:80, 64:128])
    half = RasterView(raster, (HEIGHT // 2, WIDTH // 2)).read(slice(8, 40), slice(32, 64)).astype(int)
    mean = pixels()[:, 16:80, 64:128].reshape(3, 32, 2, 32, 2).mean((2, 4)).transpose(1, 2, 0)
    assert abs(half - mean).max() <= 1


def test_without_rasterio_one_sentence_says_what_to_install(head, tmp_path, monkeypatch):
    path = write(tmp_path / "deep.tif", np.zeros((4, 64, 64), np.uint16), **PLACE)
    monkeypatch.setattr(gdal, "find_spec", lambda name: None)
    monkeypatch.setattr("smooseg.pictures.photos.find_spec", lambda name: None)
    result = segment(head, tmp_path / "masks", path)
    assert f"if it is a raster, it needs rasterio: {gdal.INSTALL}" in result.stderr
    asked = segment(head, tmp_path / "masks", path, "--bands", "1")
    assert asked.stderr.strip() == (
        f"Error: --bands: rasters need rasterio, which is not installed here; {gdal.INSTALL}"
    )


def test_areas_are_square_metres_where_coordinates_are_lengths(tmp_path):
    feet = write(tmp_path / "feet.tif", pixels(), crs="EPSG:2263", transform=PLACE["transform"])
    degrees = write(tmp_path / "degrees.tif", pixels(), crs="EPSG:4326", transform=Affine(1e-5, 0, 8, 0, -1e-5, 50))
    assert Raster(feet).square_metres == pytest.approx(0.25 * (1200 / 3937) ** 2)  # US survey feet
    assert Raster(degrees).square_metres is None


def test_a_damaged_raster_is_named(head, tmp_path):
    path = write(
        tmp_path / "cut.tif", np.random.default_rng(0).integers(0, 9, (4, 512, 512)).astype(np.uint16), **PLACE
    )
    path.write_bytes(path.read_bytes()[:-200_000])
    picture(WIDTH, HEIGHT).save(tmp_path / "good.png")
    result = segment(head, tmp_path / "masks", path, tmp_path / "good.png")
    assert (result.exit_code, "cut.tif: raster cannot be read" in result.stderr) == (1, True)
    assert (tmp_path / "masks" / "good.png").is_file() and not (tmp_path / "masks" / "cut.tif").exists()


def test_masks_of_rasters_are_no_pictures(head, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    write(photos / "ortho.tif", pixels(), **PLACE)
    for _ in range(2):
        result = segment(head, photos / "masks", photos)
        assert result.exit_code == 0, result.output
        assert [row["mask"] for row in csv.DictReader((photos / "masks" / "shares.csv").open())] == ["ortho.tif"]
    refused = segment(head, photos, photos / "ortho.tif")
    assert "ortho.tif: exists, and is not a mask that smooseg wrote" in refused.stderr


def test_a_raster_gets_the_names_that_were_given_and_no_outline_of_void(head, tmp_path):
    (tmp_path / "names.csv").write_text("cluster,name\n0,land\n1,void\n2,land\n")
    path = write(tmp_path / "ortho.tif", pixels(), **PLACE)
    assert segment(head, tmp_path / "raw", path).exit_code == 0
    result = segment(head, tmp_path / "named", path, "--names", tmp_path / "names.csv", "--polygons")
    assert result.exit_code == 0, result.output
    clusters, mask = (mask_of(tmp_path / name / "ortho.tif") for name in ("raw", "named"))
    np.testing.assert_array_equal(mask, np.where(clusters == 1, 255, 0))
    shapes, (_, names) = raw.read(tmp_path / "named" / "ortho.gpkg")[2:]
    assert set(names) == {"land"}
    assert sum(shape.area for shape in from_wkb(shapes)) == 0.25 * (mask == 0).sum()


def test_a_file_that_names_others_is_none_under_another_suffix(head, tmp_path):
    write(tmp_path / "ortho.tif", pixels(), **PLACE)
    rasterio.shutil.copy(tmp_path / "ortho.tif", tmp_path / "a.vrt", driver="VRT")
    (tmp_path / "a.vrt").rename(tmp_path / "hidden.tif")
    result = segment(head, tmp_path / "masks", tmp_path / "hidden.tif")
    assert (result.exit_code, "hidden.tif: image does not decode" in result.stderr) == (1, True)
