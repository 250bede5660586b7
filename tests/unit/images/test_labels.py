"""Label files as people have them: formats, ids, colours, what is void."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smooseg.errors import SmoosegError
from smooseg.images.datasets import VOID, Folder, labelfiles, open_dataset
from smooseg.pictures.label_table import read_label_table
from tests.conftest import write_images

rasterio = pytest.importorskip("rasterio")

IDS = np.array([[0, 1, 1, 2], [2, 2, 255, 0]], np.uint8)
COLOURS = np.array([[0, 0, 0], [70, 130, 180], [255, 255, 255]], np.uint8)
NAMES = ["sky", "ground"]


def saved(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


def geotiff(path: Path, values: np.ndarray, **profile) -> Path:
    height, width = values.shape
    place = rasterio.transform.from_origin(500_000, 5_000_000, 2, 2)
    options = {"driver": "GTiff", "crs": "EPSG:32632", "transform": place, "dtype": values.dtype, "count": 1}
    with rasterio.open(path, "w", width=width, height=height, **options | profile) as raster:
        raster.write(values, 1)
    return path


@pytest.mark.parametrize("suffix", ["png", "PNG", "tif", "TIFF", "bmp"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_ids_may_lie_in_equal_channels_of_any_format(tmp_path, suffix, channels):
    values = IDS if channels == 1 else np.stack([IDS] * 3 + [np.full_like(IDS, 255)] * (channels - 3), -1)
    path = saved(tmp_path / f"a.{suffix}", values)
    assert Folder("", ["a", "b", "c"]).read_label(path).tolist() == IDS.tolist()


def test_several_ids_are_one_class_and_several_are_void(tmp_path):
    path = saved(tmp_path / "a.png", np.array([[1, 2, 3], [255, 0, 300]], np.uint16))
    dataset = Folder("", NAMES, labels={"ids": {"ground": [1, 3], "sky": [2, 255], "void": [0, 300]}})
    assert dataset.read_label(path).tolist() == [[1, 0, 1], [0, VOID, VOID]]
    saved(path, np.array([[1, 9]], np.uint8))
    with pytest.raises(SmoosegError, match=r"label ids \[9\] are outside those of labels: 0, 1, 2, 3, 255, 300 and"):
        dataset.read_label(path)


def test_colours_are_classes_also_of_palettes_and_grey_values(tmp_path):
    labels = {"colours": {"sky": ["#4682b4"], "ground": ["#FFFFFF"], "void": ["#000000"]}}
    dataset, wanted = Folder("", NAMES, labels=labels), [[VOID, 0, 1], [1, 1, VOID]]
    numbers = np.array([[0, 1, 2], [2, 2, 0]], np.uint8)
    palette = Image.fromarray(numbers, "P")
    palette.putpalette(COLOURS.tobytes())
    palette.save(tmp_path / "p.png")
    saved(tmp_path / "c.bmp", COLOURS[numbers])
    saved(tmp_path / "grey.png", np.where(numbers == 1, 2, numbers) // 2 * np.uint8(255))
    assert dataset.read_label(tmp_path / "p.png").tolist() == wanted
    assert dataset.read_label(tmp_path / "c.bmp").tolist() == wanted
    assert dataset.read_label(tmp_path / "grey.png").tolist() == [[VOID, 1, 1], [1, 1, VOID]]
    both = Folder("", NAMES, labels=labels | {"ids": {"ground": [0, 2], "sky": [1]}})
    assert both.read_label(tmp_path / "p.png").tolist() == [[1, 0, 1], [1, 1, 1]]
    assert both.read_label(tmp_path / "c.bmp").tolist() == wanted


def test_nodata_of_a_geotiff_is_void_unless_its_id_has_a_meaning(tmp_path):
    path = geotiff(tmp_path / "a.tif", IDS, nodata=2)
    wanted = np.where(IDS == 2, VOID, IDS)
    assert Folder("", ["a", "b", "c"]).read_label(path).tolist() == wanted.tolist()
    said = {"a": [0], "b": [1], "c": [2]}
    assert Folder("", ["a", "b", "c"], labels={"ids": said}).read_label(path).tolist() == IDS.tolist()


@pytest.mark.parametrize("dtype", ["int8", "uint32", "float64"])
def test_geotiffs_that_pillow_does_not_read_need_rasterio(tmp_path, dtype, monkeypatch):
    path = geotiff(tmp_path / "a.tif", IDS.clip(0, 2).astype(dtype), tiled=True, compress="lerc")
    dataset = Folder("", ["a", "b", "c"])
    assert dataset.read_label(path).tolist() == IDS.clip(0, 2).tolist()
    monkeypatch.setattr(labelfiles, "find_spec", lambda name: None)
    with pytest.raises(
        SmoosegError, match=r"a\.tif: label does not decode \(.*\); if it is a GeoTIFF, it needs raster"
    ):
        dataset.read_label(path)


def test_a_geotiff_of_no_place_is_read_without_a_warning(tmp_path):
    path = geotiff(tmp_path / "a.tif", IDS.astype(np.int64), crs=None, transform=None, nodata=2)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        ids = Folder("", ["a", "b", "c"]).read_label(path)
    assert (ids.tolist(), said) == (np.where(IDS == 2, VOID, IDS).tolist(), [])


def test_a_label_may_have_any_suffix_but_an_image_has_one_label(tmp_path):
    write_images(tmp_path, "val", 3)
    labels = tmp_path / "labels" / "val"
    for number, suffix in enumerate(["PNG", "tif", "bmp"]):
        with Image.open(labels / f"00{number}.png") as label:
            label.save(labels / f"{number}.{suffix}")
        (labels / f"00{number}.png").unlink()
        (labels / f"{number}.{suffix}").rename(labels / f"00{number}.{suffix}")
    (labels / "._000.png").touch()
    settings = {"root": tmp_path, "layout": "folder", "classes": NAMES}
    found = [entry.label for entry in open_dataset(settings).entries("val")]
    assert found == ["labels/val/000.PNG", "labels/val/001.tif", "labels/val/002.bmp"]
    (labels / "000.tiff").touch()
    with pytest.raises(SmoosegError, match=r"000\.tiff: is the label of the same image as 000\.PNG; keep one"):
        open_dataset(settings).entries("val")


def table(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_a_table_of_labels_gives_classes_with_their_ids_and_colours(tmp_path):
    text = "id,name,colour\n1,sky,#4682B4\n2,ground,#ffffff\n3,sky,\n255,void,#000000\n"
    assert read_label_table(table(tmp_path / "legend.csv", text)) == (
        ["sky", "ground"],
        {
            "ids": {"sky": [1, 3], "ground": [2], "void": [255]},
            "colours": {"sky": ["#4682B4"], "ground": ["#ffffff"], "void": ["#000000"]},
        },
    )
    text = "name, r, g, b\nsky, 70, 130, 180\nvoid, 0, 0, 0\nland, 255, 255, 255\n"
    assert read_label_table(table(tmp_path / "class_dict.csv", text)) == (
        ["sky", "land"],
        {"colours": {"sky": ["#4682B4"], "void": ["#000000"], "land": ["#FFFFFF"]}},
    )


@pytest.mark.parametrize(
    "text",
    [
        "name,r,g,b\nSky,120,170,230\nField,60,150,60\nVoid,0,0,0\n",  # as CamVid's class_dict.csv
        "Name;Red;Green;Blue\nSky;120;170;230\nField;60.0;150.0;60.0\n VOID ;0;0;0\n;;;\n",
        "colour\tname\n78AAE6\tSky\n3C963C\tField\n000000\tvoid\n",
        "sep=,\nNAME,Color\nSky,#78AAE6\nField,#3C963C\nvOId,#000000\n,\n",
    ],
)
def test_void_and_colours_are_what_they_are_however_they_are_written(tmp_path, text):
    names, said = read_label_table(table(tmp_path / "t.csv", text))
    assert names == ["Sky", "Field"]
    assert said == {"colours": {"Sky": ["#78AAE6"], "Field": ["#3C963C"], "void": ["#000000"]}}
    assert Folder("", names, labels=said).colours == {0x78AAE6: 0, 0x3C963C: 1, 0: VOID}


def test_void_of_an_entry_is_void_in_any_case():
    dataset = Folder("", NAMES, labels={"ids": {"sky": [1], "ground": [2], "Void": [0], "VOID ": [9]}})
    np.testing.assert_array_equal(
        dataset.to_classes(np.array([[0, 1, 2, 9]], np.uint8), Path("x")), [[VOID, 0, 1, VOID]]
    )
