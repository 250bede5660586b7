"""The catalogue's sets with a source, each in the layout of its repository: fetched, listed and read to the pixel."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smooseg.errors import SmoosegError
from smooseg.images.datasets import VOID, open_dataset
from smooseg.images.datasets.folder import Folder
from smooseg.images.indexing import index_views
from smooseg.images.sources import fetch_dataset
from smooseg.settings.config import resolve
from smooseg.settings.schema import validate
from tests.conftest import shipped_config
from tests.support.repositories import make_repository

WIDTH, HEIGHT = 40, 32
FACADE = [
    *((0x80, 0, 0), (0x80, 0, 0x80), (0x80, 0x80, 0), (0x80, 0x80, 0x80), (0x80, 0x40, 0)),
    *((0, 0x80, 0x80), (0, 0x80, 0), (0, 0, 0x80), (0, 0, 0)),
]


def ids(count: int, last: int) -> np.ndarray:
    """Ids 0, 1, … in columns, uint8 (height, width), and another last one."""
    found = np.tile(np.arange(WIDTH) % count, (HEIGHT, 1))
    return np.where(found == count - 1, last, found).astype(np.uint8)


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def label(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def camvid(root: Path) -> np.ndarray:
    """Lists of paths from elsewhere, ids 0 to 10, and 11 for void."""
    for split, names in {"train": ["0001TP_006690", "0001TP_006720"], "val": ["0016E5_07959"]}.items():
        for name in names:
            picture(root / "CamVid" / split / f"{name}.png")
            label(root / "CamVid" / f"{split}annot" / f"{name}.png", ids(12, 11))
        lines = [f"/SegNet/CamVid/{split}/{name}.png /SegNet/CamVid/{split}annot/{name}.png" for name in names]
        (root / "CamVid" / f"{split}.txt").write_text("\n".join(lines))
    return ids(12, VOID)


def facade(root: Path) -> np.ndarray:
    """Colours in RGBA, lists of paths; a name with dots, a list among the images."""
    train = ["boston_static_street__0095", "static_submitted_saxena__img-10.21op9-p-015t000"]
    test = ["05june05_static_street_boston__p1010736"]
    colours = np.array(FACADE, np.uint8)[ids(9, 8)]
    for name in train + test:
        picture(root / "images" / f"{name}.jpg")
        label(root / "labels" / f"{name}.png", np.dstack([colours, np.full((HEIGHT, WIDTH), 255, np.uint8)]))
    (root / "images" / "filelist.txt").write_text("boston_static_street__0095.jpg")
    for split, names in {"train": train, "test": test}.items():
        (root / f"{split}.txt").write_text("\n".join(f"images/{name}.jpg" for name in names))
    return ids(9, VOID)


def crops(root: Path) -> np.ndarray:
    """Colours of a palette, numbers in YAML, other ends of names; number 28 in both lists."""
    for number in (1, 2, 5, 28):
        picture(root / "images" / f"{number:03}_image.png")
        picture(root / "masks" / f"{number:03}_mask.png")
        annotation = Image.fromarray(ids(3, 2), "P")
        annotation.putpalette([0, 0, 0, 0, 255, 0, 255, 0, 0])
        (root / "annotations").mkdir(exist_ok=True)
        annotation.save(root / "annotations" / f"{number:03}_annotation.png")
        (root / "annotations" / f"{number:03}_annotation.yaml").write_text("annotation: []")
    (root / "train_test_split.yaml").write_text("train: [2, 5, 28]\ntest: [1, 28]\n")
    return ids(3, 2)


def drone(root: Path) -> np.ndarray:
    """Grey values of 40 for each id, in three equal channels; splits by the scene's name."""
    names = [f"ec09336a6f_06BA0AF311OPENPIPELINE-00000{i}" for i in range(2)] + ["1d4fbe33f3_F1BE1D4184INSPIRE-000000"]
    for name in names:
        picture(root / "data" / "dataset-sample" / "image-chips" / f"{name}.png")
        grey = np.dstack([40 * ids(6, 5)] * 3)
        label(root / "data" / "dataset-sample" / "label-chips" / f"{name}.png", grey)
    return ids(6, 5)


def roads(root: Path) -> np.ndarray:
    """Grey values from 0 to 255, of which those above 127 are road; the first 80 of 100 are for training."""
    grey = np.tile(np.linspace(0, 255, WIDTH), (HEIGHT, 1)).astype(np.uint8)
    for number in range(1, 83):
        picture(root / "training" / "images" / f"satImage_{number:03}.png")
        label(root / "training" / "groundtruth" / f"satImage_{number:03}.png", grey)
    return (grey > 127).astype(np.uint8)


IMAGES = {  # number of training images, and names of the others
    "camvid": (2, ["0016E5_07959"]),
    "facade": (2, ["05june05_static_street_boston__p1010736"]),
    "crops": (2, ["001_image", "028_image"]),
    "drone": (2, ["1d4fbe33f3_F1BE1D4184INSPIRE-000000"]),
    "roads": (80, ["satImage_081", "satImage_082"]),
}


@pytest.mark.parametrize("make", [camvid, facade, crops, drone, roads], ids=lambda make: make.__name__)
def test_sets_are_fetched_listed_and_read(make, tmp_path):
    name = make.__name__
    classes = make(tmp_path / "origin")
    entry = resolve(shipped_config())["datasets"][name]
    source = entry["source"] | {"git": f"file://{tmp_path}/origin", "commit": make_repository(tmp_path / "origin")}
    fetch_dataset(name, source, tmp_path / "data" / name)
    dataset = open_dataset(entry | {"root": tmp_path / "data" / name})
    train, val = (dataset.entries(entry[view]["split"]) for view in ("train", "eval"))
    assert (len(train), [Path(found.image).stem for found in val]) == IMAGES[name]
    assert not {found.image for found in train} & {found.image for found in val}
    for view in ("train", "eval"):
        split = entry[view]["split"]
        assert all(path.exists() for path in dataset.image_sources(split) + dataset.label_sources(split))
        assert dataset.find_unlabelled(split) == []
    for found in (train[-1], val[0]):
        np.testing.assert_array_equal(dataset.read_label(tmp_path / "data" / name / found.label), classes)
    views = index_views(dataset, **entry["eval"], evaluation=True, workers=1)
    assert set(views["image"]) == {found.image for found in val}


def test_sets_say_what_they_are(tmp_path):
    entries = resolve(shipped_config())["datasets"]
    for name in IMAGES:
        source = entries[name]["source"]
        assert source["git"].startswith("https://github.com/") and len(source["commit"]) == 40
        assert source["size"] and source["licence"] and source["citation"]


# splits of the layout


def open_folder(root: Path, **settings) -> Folder:
    layout = {"type": "object", "additionalProperties": False} | Folder.schema
    return Folder(root, ["a", "b"], settings=validate(settings, layout, {"$defs": {}}, "settings"))


def names(dataset: Folder, split: str) -> list[str]:
    return [entry.image.removeprefix("images/") for entry in dataset.entries(split)]


@pytest.fixture
def root(tmp_path) -> Path:
    for name in ("a/001.png", "a/002.jpg", "b/003.png", "b.c.png"):
        picture(tmp_path / "images" / name)
    (tmp_path / "list.txt").write_text("\ufeffimages/a/002.jpg\n\n b.c \n a/001\n", "utf-8")
    (tmp_path / "list.json").write_text('{"few": ["003"], "numbers": [1, "2"], "none": [], "deep": [[1]]}')
    return tmp_path


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ({}, ["a/001.png", "a/002.jpg", "b/003.png", "b.c.png"]),
        ({"skip": 1, "first": 2}, ["a/002.jpg", "b/003.png"]),
        ({"skip": 3}, ["b.c.png"]),
        ({"prefix": "00", "first": 2}, ["a/001.png", "a/002.jpg"]),
        ({"list": "list.txt"}, ["a/001.png", "a/002.jpg", "b.c.png"]),
        ({"list": "list.txt", "prefix": "b"}, ["b.c.png"]),
        ({"list": "list.json", "key": "numbers"}, ["a/001.png", "a/002.jpg"]),
    ],
)
def test_splits_of_one_folder(split, expected, root):
    assert names(open_folder(root, splits={"s": split}), "s") == expected


@pytest.mark.parametrize(
    ("split", "sentence"),
    [
        ({"list": "no.txt"}, r"list cannot be read \(.*No such file"),
        ({"list": "list.json"}, "it must list names or numbers of images"),
        ({"list": "list.json", "key": "fewer"}, "has no key fewer; it has few, numbers, none, deep"),
        ({"list": "list.json", "key": "none"}, "key none must list names or numbers of images"),
        ({"list": "list.json", "key": "deep"}, "key deep must list names or numbers of images"),
        ({"list": "list.txt", "key": "few"}, "has no key few$"),
        ({"skip": 9}, "holds no image of split s"),
        ({"prefix": "z"}, "holds no image of split s"),
    ],
)
def test_splits_that_are_refused(split, sentence, root):
    with pytest.raises(SmoosegError, match=sentence):
        open_folder(root, splits={"s": split}).entries("s")


def test_a_list_that_names_what_is_not_there(root):
    (root / "list.txt").write_text("a/001\na/009.png\n../b\n17")
    with pytest.raises(SmoosegError, match=r"list\.txt: these images are not in images: a/009\.png; \.\./b; 17$"):
        open_folder(root, splits={"s": {"list": "list.txt"}}).entries("s")


def test_a_split_that_nobody_described(root):
    with pytest.raises(SmoosegError, match="split 'val' is none of train, test"):
        open_folder(root, splits={"train": {}, "test": {}}).entries("val")


def test_other_folders_and_ends_of_names_without_splits(tmp_path):
    for name in ("x_image.png", "y_other.png", "_image.png"):
        picture(tmp_path / "pictures" / "train" / name)
    label(tmp_path / "masks" / "train" / "x_mask.png", ids(2, 1))
    label(tmp_path / "masks" / "train" / "x.png", ids(2, 1))
    dataset = open_folder(tmp_path, images="pictures", labels="masks", image_end="_image", label_end="_mask")
    (entry,) = dataset.entries("train")
    assert (entry.image, entry.label) == ("pictures/train/x_image.png", "masks/train/x_mask.png")
    assert dataset.label_sources("train") == [tmp_path / "masks" / "train"]


@pytest.mark.parametrize(
    ("written", "expected"), [([0, "2-4", 9], {0, 2, 3, 4, 9}), (["5-5"], {5})], ids=["several", "one"]
)
def test_ranges_of_ids(written, expected):
    dataset = open_dataset({"root": "r", "layout": "folder", "classes": ["a", "b"], "labels": {"ids": {"a": written}}})
    assert set(dataset.ids) == expected


def test_ranges_of_two_classes_do_not_overlap():
    labels = {"ids": {"a": ["0-9"], "b": ["9-12"]}}
    with pytest.raises(SmoosegError, match="labels give 9-12 to b and to another class; keep one"):
        open_dataset({"root": "r", "layout": "folder", "classes": ["a", "b"], "labels": labels})
