"""``smooseg export``: each format, as its own library reads it back, holds the masks pixel by pixel."""

import csv
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from affine import Affine
from click.testing import CliRunner
from cvat_sdk.masks import decode_mask
from label_studio_brush_rle_rs import decode_rle
from PIL import Image
from pycocotools.coco import COCO
from torchvision.datasets import Cityscapes

from smooseg.cli import main
from smooseg.pictures.exports import export as exporting
from tests.support.gallery import names_csv
from tests.support.rasters import pixels, write
from tests.support.segmenting import SIZE, ids, picture, run
from tests.support.segmenting import head as head  # a fixture
from tests.support.segmenting import photos as photos  # a fixture

NAMES = ["land & <sea>", "void", "café"]
COLUMNS = ["mask", "Void", "width"]  # of shares.csv
PICTURES = ["a.png", "b.v2.jpg", "more/c.png", "ortho.tif"]


@pytest.fixture(params=[NAMES, COLUMNS], ids=["plain", "names of columns"])
def names(request):
    """Names of clusters, the second of them void."""
    return request.param


@pytest.fixture
def masks(head, photos, tmp_path, names):
    """Masks of photographs and of a raster, whose clusters have names, one of them void."""
    write(photos / "ortho.tif", pixels(), crs="EPSG:32632", transform=Affine(2, 0, 500_000, 0, -2, 5_000_000))
    path = names_csv(tmp_path / "names.csv", names, head)
    result = run(photos, "--head", head, "--out", tmp_path / "masks", "--size", SIZE, "--names", path)
    assert result.exit_code == 0, result.output
    return tmp_path / "masks"


@pytest.fixture
def wanted(masks, names):
    """What the masks hold: for each picture and name where it is."""
    legend = {row["name"]: int(row["id"]) for row in csv.DictReader((masks / "legend.csv").open(encoding="utf-8"))}
    paths = {name: masks / f"{name.rsplit('.', 1)[0]}.{'tif' if name.endswith('tif') else 'png'}" for name in PICTURES}
    found = {
        (name, called): ids(path) == i
        for name, path in paths.items()
        for called, i in legend.items()
        if called != "void" and (ids(path) == i).any()
    }
    assert {name for name, _ in found} == set(PICTURES) and {called for _, called in found} == {names[0], names[2]}
    assert any((ids(path) == 255).any() for path in paths.values())
    return found


def exported(masks, to):
    out = masks.with_name(to)
    result = CliRunner().invoke(main, ["export", str(masks), "--to", to, "--out", str(out)])
    assert result.exit_code == 0, result.output
    written = result.stdout.split()
    assert all(path.startswith(str(out)) for path in written)
    return out


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for key, mask in wanted.items():
        np.testing.assert_array_equal(found[key], mask, err_msg=str(key))


def test_coco_is_read_by_pycocotools(masks, wanted):
    coco = COCO(exported(masks, "coco") / "annotations.json")
    names = {i: category["name"] for i, category in coco.cats.items()}
    found = {
        (coco.imgs[one["image_id"]]["file_name"], names[one["category_id"]]): coco.annToMask(one) == 1
        for one in coco.anns.values()
    }
    same(found, wanted)
    for one in coco.anns.values():
        mask = found[coco.imgs[one["image_id"]]["file_name"], names[one["category_id"]]]
        rows, columns = np.nonzero(mask)
        left, top = columns.min(), rows.min()
        assert one["bbox"] == [left, top, columns.max() - left + 1, rows.max() - top + 1]
        assert one["area"] == mask.sum()


def test_cvat_is_read_by_its_own_library(masks, wanted, names):
    out = exported(masks, "cvat")
    found = {}
    for image in ElementTree.parse(out / "annotations.xml").iter("image"):
        size = {"image_width": int(image.get("width")), "image_height": int(image.get("height"))}
        for mask in image.iter("mask"):
            left, top, width, height = (int(mask.get(key)) for key in ("left", "top", "width", "height"))
            runs = [int(run) for run in mask.get("rle").split(",")]
            points = [*runs, left, top, left + width - 1, top + height - 1]
            found[image.get("name"), mask.get("label")] = decode_mask(points, **size)
    same(found, wanted)
    labels = json.loads((out / "labels.json").read_text("utf-8"))
    assert [label["name"] for label in labels] == [names[0], names[2]]


def test_label_studio_is_read_by_another_decoder(masks, wanted, names):
    out = exported(masks, "labelstudio")
    found = {}
    for task in json.loads((out / "tasks.json").read_text("utf-8")):
        name = task["data"]["image"].removeprefix("/data/local-files/?d=")
        for result in task["predictions"][0]["result"]:
            values = np.asarray(decode_rle(bytes(result["value"]["rle"]), False), np.uint8)
            values = values.reshape(result["original_height"], result["original_width"], 4)
            assert set(np.unique(values)) <= {0, 255} and (values == values[..., :1]).all()
            found[name, result["value"]["brushlabels"][0]] = values[..., 3] == 255
    same(found, wanted)
    view = ElementTree.parse(out / "labels.xml").getroot()
    assert [label.get("value") for label in view.iter("Label")] == [names[0], names[2]]


def test_cityscapes_is_read_by_torchvision(masks, wanted):
    out = exported(masks, "cityscapes")
    cities = {"pictures": ["a", "b.v2", "ortho"], "more": ["c"]}
    for city, stems in cities.items():
        (out / "leftImg8bit" / "train" / city).mkdir(parents=True)
        for stem in stems:
            picture().save(out / "leftImg8bit" / "train" / city / f"{stem}_leftImg8bit.png")
    read = Cityscapes(out, split="train", mode="fine", target_type=["semantic", "color"])
    legend = {int(row["id"]): row for row in csv.DictReader((out / "legend.csv").open(encoding="utf-8"))}
    pictures = {name.rsplit("/")[-1].rsplit(".", 1)[0]: name for name in PICTURES}
    found = {}
    for number, path in enumerate(read.images):
        name = pictures[path.rsplit("/")[-1].removesuffix("_leftImg8bit.png")]
        values, colours = (np.array(target) for target in read[number][1])
        for i in np.unique(values).tolist():
            assert (colours[values == i] == list(bytes.fromhex(legend[i]["colour"][1:]))).all()
            if legend[i]["name"] != "void":
                found[name, legend[i]["name"]] = values == i
    same(found, wanted)


def damage(masks):
    (masks / "a.png").write_bytes((masks / "a.png").read_bytes()[:150])
    Image.new("P", (3, 3)).save(masks / "b.v2.png")
    Image.fromarray(np.full((90, 700), 9, np.uint8)).save(masks / "more" / "c.png")


def outside(masks):
    shares = (masks / "shares.csv").read_text("utf-8")
    (masks / "shares.csv").write_text(shares.replace("more/c.png,7", "../c.png,7"), "utf-8")


BAD = [
    (
        damage,
        "These masks cannot be exported: .*a.png: mask does not decode .*b.v2.png: is no mask of 80x96 pixels, as shares"
        ".*c.png: holds ids \\[9\\], which legend.csv does not name",
    ),
    (outside, "These masks cannot be exported: .*/../c.png: lies outside the folder of masks"),
    (
        lambda masks: (masks / "legend.csv").write_text("id,name,colour\n0,a,red\n", "utf-8"),
        "legend.csv: is no table as smooseg writes it \\(invalid literal",
    ),
    (lambda masks: (masks / "legend.csv").unlink(), "legend.csv: cannot be read .*; give a folder that smooseg wrote"),
    (
        lambda masks: masks.with_name("out").joinpath("gtFine").mkdir(parents=True),
        "gtFine: exists already; give an",
    ),
]


def test_shares_with_a_header_twice_are_read_by_the_first(masks, wanted):
    path = masks / "shares.csv"
    path.write_text(path.read_text("utf-8").replace("class mask", "mask").replace("class width", "width"), "utf-8")
    assert len(json.loads((exported(masks, "coco") / "annotations.json").read_text("utf-8"))["images"]) == len(PICTURES)


@pytest.mark.parametrize("names", [NAMES], indirect=True)
@pytest.mark.parametrize(("harm", "message"), BAD)
def test_bad_masks_are_one_sentence_and_nothing_is_written(masks, harm, message):
    harm(masks)
    out = masks.with_name("out")
    result = CliRunner().invoke(main, ["export", str(masks), "--to", "cityscapes", "--out", str(out)])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert re.search(message, result.stderr), result.stderr
    assert not [path for path in out.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("to", "library"), [("coco", "pycocotools"), ("cvat", "cvat_sdk")])
def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch, to, library):
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["export", str(tmp_path), "--to", to, "--out", str(tmp_path / "out")])
    assert result.stderr == (
        f"Error: --to {to}: needs {library}, which is not installed here; pip install pycocotools cvat-sdk\n"
    )
