"""Bad input of every kind: what is taken and how, or the one sentence that says what is wrong; nothing is left behind.

A message stands here whole: PLACE is the case's folder, and … stands for what a library or a long list says.
"""

import copy
import logging
import re
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
from affine import Affine
from PIL import Image
from safetensors.torch import load_file, save_file

from smooseg.evaluation.naming import read_names
from smooseg.evaluation.prediction import predict_labels
from smooseg.evaluation.scoring import read_labels, score_labels
from smooseg.features.store import COMPLETE, open_store
from smooseg.features.weights import fetch_weights
from smooseg.heads import HEADS, save_head
from smooseg.heads.kmeans import KMeansHead
from smooseg.images.datasets import VOID, Entry, open_dataset
from smooseg.images.datasets.folder import Folder
from smooseg.images.imaging import read_views
from smooseg.images.indexing import index_raster, index_views
from smooseg.images.manifests import manifest_sha256
from smooseg.pictures.label_table import read_label_table
from smooseg.running.jobs import job
from smooseg.settings.config import resolve
from smooseg.settings.files import over_catalogue, read_config
from tests.conftest import TINY_MODEL, file_source, make_store, shipped_config, write_images
from tests.support.deep import png, tiff
from tests.support.project import Project
from tests.support.rasters import write

SIZE, CHANNELS, WIDTH, HEIGHT = 32, 4, 96, 80
GREEN = (40, 160, 60)
NEEDS = {"block": 3, "size": SIZE}
REMEDY = "run again with --forcerun plan_features, which recomputes what is missing (label maps: delete the folder)"
LAYOUTS = "docs/reference/data-sets.md describes this data set's layout; set data_root to the folder that holds it"


@dataclass(frozen=True)
class Case:
    """Something bad.

    Args:
        what: It, in words.
        harm: Makes it, in a folder where all was well.
        stage: What meets it there: the call that a rule's script makes.
        refused: The whole message; empty where it is taken.
        taken: What the stage must return.
    """

    what: str
    harm: Callable[[Path], Any]
    stage: Callable[[Path], Any]
    refused: str = ""
    taken: Any = None


# ── the good folder ──────────────────────────────────────────────────────────────────────────────────────────────────


def fill(folder: Path, checkpoint: Path) -> None:
    """Images, labels, a manifest, features, a head and a checkpoint."""
    write_images(folder / "data", "val", 2, (WIDTH, HEIGHT))
    shutil.copy(checkpoint, folder / "w.safetensors")
    manifest = index(folder)
    manifest.to_parquet(folder / "manifest.parquet")
    features = np.random.default_rng(0).normal(size=(40, 4, CHANNELS)).astype(np.float16)
    make_store(folder / "features.zarr", features, **NEEDS)
    make_store(folder / "views.zarr", features[: len(manifest)], manifest_sha256=manifest_sha256(manifest), size=SIZE)
    make_store(folder / "maps.zarr", np.zeros((2, SIZE, SIZE), np.uint8), chunk=8)
    head = KMeansHead(CHANNELS, 2, {})
    head.centroids.copy_(torch.eye(2, CHANNELS))
    save_head(head, "kmeans", {}, folder / "head.safetensors")


@pytest.fixture(scope="module")
def good(tmp_path_factory, tiny_checkpoint) -> Path:
    folder = tmp_path_factory.mktemp("good")
    fill(folder, tiny_checkpoint)
    return folder


@pytest.fixture
def place(good, tmp_path) -> Path:
    """A copy of it, for harm; logging and threads are as before when it is done."""
    root, threads = logging.getLogger(), torch.get_num_threads()
    handlers, level = root.handlers[:], root.level
    yield shutil.copytree(good, tmp_path / "place")
    root.handlers[:], root.level = handlers, level
    torch.set_num_threads(threads)


# ── stages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def dataset(folder: Path, layout: str = "folder", **labels):
    classes = {"classes": ["up", "down"], "labels": labels} if layout == "folder" else {}
    return open_dataset({"root": folder / "data", "layout": layout} | classes)


def index(folder: Path, crops: str = "whole") -> pd.DataFrame:
    return index_views(dataset(folder), "val", crops, SIZE, evaluation=True, workers=1)


def look(folder: Path) -> tuple:
    """Width and height of the first image, and the colour in its middle, to the nearest ten."""
    manifest = index(folder)
    middle = read_views(folder / "data", manifest[:1], SIZE, "bilinear")[0, SIZE // 2, SIZE // 2].astype(int)
    return (*map(int, manifest.loc[0, ["width", "height"]]), tuple((10 * np.round(middle / 10)).astype(int).tolist()))


def label(folder: Path, **labels) -> list[int]:
    """Ids of the first label; ``labels`` say what its values mean."""
    read_labels(
        folder / "manifest.parquet",
        dataset(folder, **labels),
        "val",
        folder / "views.zarr",
        folder / "labels.zarr",
        code="",
    )
    return np.unique(open_store(folder / "labels.zarr", {}).read(0, 1)).tolist()


def score(folder: Path) -> float:
    stores = (open_store(folder / f"{name}.zarr", {}) for name in ("maps", "labels"))
    return score_labels(*stores, 2, ["up", "down"], matched=True)["accuracy"]


def listed(folder: Path, layout: str) -> list[str]:
    return [entry.image for entry in dataset(folder, layout).entries(LISTS[layout][0])]


def train(folder: Path) -> None:
    settings = {"samples": 1000, "kmeans_batch": 64, "epochs": 1, "starts": 1, "subtract_mean": False}
    HEADS["kmeans"].fit(open_store(folder / "features.zarr", NEEDS), 2, settings, seed=0, budget=10**9)


def fetch(folder: Path, name: str = "w.safetensors", sha256: str | None = None) -> None:
    fetch_weights(TINY_MODEL, file_source(folder / name, sha256), folder / "out.safetensors")


def predict(folder: Path) -> None:
    predict_labels(open_store(folder / "views.zarr", {}), folder / "head.safetensors", folder / "raw.zarr", code="")


def configure(folder: Path) -> dict:
    return resolve(over_catalogue(read_config(folder / "config.yaml")))


# ── images ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def flat(mode: str = "RGB", size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    return Image.new("RGB", size, GREEN).convert(mode)


def image(folder: Path, content: Image.Image | bytes, suffix: str = "png", **options) -> None:
    """Put another file in the place of the first image."""
    path = folder / "data" / "images" / "val" / "000.png"
    path.unlink()
    path = path.with_suffix(f".{suffix}")
    path.write_bytes(content) if isinstance(content, bytes) else content.save(path, **options)


def truncate(folder: Path, name: str, size: int) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:size])


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.full((HEIGHT, WIDTH), 160 * 257, np.uint16))


def twelve_bits(channels: int) -> np.ndarray:
    """The middle of the green's values, or its colours, of a camera with 12 bits whose brightest pixel is full."""
    values = np.full((HEIGHT, WIDTH, channels), 16 * np.array(GREEN if channels == 3 else GREEN[1:2]), np.uint16)
    values[0, 0] = 4095
    return values


def bordered() -> Image.Image:
    """Black and transparent but for its right edge."""
    picture = Image.new("RGBA", (WIDTH, HEIGHT))
    picture.paste(GREEN, (WIDTH - 20, 0, WIDTH, HEIGHT))
    return picture


def transparent() -> Image.Image:
    picture = flat("RGBA")
    picture.putalpha(7)
    return picture


def header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and holds nothing."""
    parts = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0), b""
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in zip((b"IHDR", b"IDAT"), parts, strict=True)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


FIRST = "PLACE/data/images/val/000.png"
UNUSABLE = "These images cannot be used: "
IMAGES = [
    Case("truncated", partial(truncate, name=FIRST[6:], size=200), index, f"{UNUSABLE}{FIRST}: image does not decode (…)"),
    Case("zero bytes", partial(image, content=b""), index, f"{UNUSABLE}{FIRST}: image does not decode (…)"),
    Case("not an image", partial(image, content=b"a letter"), index, f"{UNUSABLE}{FIRST}: image does not decode (…)"),
    Case("CMYK", lambda p: image(p, flat("CMYK"), "jpg"), look, taken=(WIDTH, HEIGHT, GREEN)),
    Case("16 bits", lambda p: image(p, sixteen_bits()), look, taken=(WIDTH, HEIGHT, (160, 160, 160))),
    Case("12 of 16 bits", lambda p: image(p, png(twelve_bits(1)), "png"), look, taken=(WIDTH, HEIGHT, (160, 160, 160))),
    Case("12 of 16 bits in colour", lambda p: image(p, tiff(twelve_bits(3)), "tif"), look, taken=(WIDTH, HEIGHT, GREEN)),
    Case("16 bits in bands", lambda p: image(p, tiff(twelve_bits(3), planes=2), "tif"), look, f"{UNUSABLE}{FIRST[:-3]}tif: image does not decode (its 16-bit bands lie one after the other; save it with bands by pixel)"),
    Case("a border of alpha 0", lambda p: image(p, bordered()), look, taken=(WIDTH, HEIGHT, GREEN)),
    Case("palette", lambda p: image(p, flat().quantize(4)), look, taken=(WIDTH, HEIGHT, GREEN)),
    Case("RGBA, almost transparent", lambda p: image(p, transparent()), look, taken=(WIDTH, HEIGHT, GREEN)),
    Case("animated", lambda p: image(p, flat(), "webp", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))], lossless=True), look, taken=(WIDTH, HEIGHT, GREEN)),
    Case("several pages", lambda p: image(p, flat(), "tif", save_all=True, append_images=[flat("L")]), look, taken=(WIDTH, HEIGHT, GREEN)),
    Case("1x1", lambda p: image(p, flat(size=(1, 1))), look, taken=(1, 1, GREEN)),
    Case("1x1 in five crops", lambda p: image(p, flat(size=(1, 1))), partial(index, crops="five"), f"{UNUSABLE}{FIRST}: is 1x1 pixels, too small for five crops"),
    Case("30,000 pixels wide", lambda p: image(p, flat(size=(30_000, 9))), look, taken=(30_000, 9, GREEN)),
    Case("more pixels than memory holds", lambda p: image(p, header(10**6, 10**6)), index, f"{UNUSABLE}{FIRST}: image does not decode (its 1000000x1000000 pixels need 8000.0 GB of memory, and … GB are free; cut it into tiles)"),
    Case("a large raster", lambda p: image(p, Image.new("1", (14_000, 6_500))), lambda p: int(index(p)["width"][0]), taken=14_000),
    Case("to be turned by EXIF: taken as it lies", lambda p: image(p, flat(), exif=exif(6)), look, taken=(WIDTH, HEIGHT, GREEN)),
    Case("several", lambda p: (image(p, b""), (p / "data/images/val/001.png").write_bytes(b"")), index, f"{UNUSABLE}{FIRST}: image does not decode (…); PLACE/data/images/val/001.png: image does not decode (…)"),
    Case("floating point", lambda p: image(p, Image.new("F", (9, 9)), "tif"), index, f"{UNUSABLE}{FIRST[:-3]}tif: image does not decode (its float32 values have no known range; save it with 8 or 16 bits)"),
]  # fmt: skip


# ── labels ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def relabel(folder: Path, ids: np.ndarray | Image.Image, names: tuple[str, ...] = ("000",)) -> None:
    for name in names:
        (ids if isinstance(ids, Image.Image) else Image.fromarray(ids)).save(folder / f"data/labels/val/{name}.png")


def full(value: int, dtype=np.uint8, shape: tuple[int, ...] = (HEIGHT, WIDTH)) -> np.ndarray:
    return np.full(shape, value, dtype)


def relabel_as(folder: Path, suffix: str) -> None:
    with Image.open(folder / LABEL) as image:
        image.save((folder / LABEL).with_suffix(f".{suffix}"))


PAINTED = np.broadcast_to(np.array(GREEN, np.uint8), (HEIGHT, WIDTH, 3)).copy()
PAINTED[:9] = 0, 0, 7
SHADED = np.stack(
    [full(7), np.zeros((HEIGHT, WIDTH), np.uint8), np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1))], -1
)
MEANS = "say what it means in the data set's labels: {} (smooseg fit: --label-table), void too"
NO_LABEL, LABEL = "These labels cannot be used: PLACE/data/labels/val/000.png: ", "data/labels/val/000.png"
LABELS = [
    Case("missing", lambda p: (p / LABEL).unlink(), label, "These images have no label: images/val/000.png"),
    Case("of another size", partial(relabel, ids=full(0, shape=(10, 20))), label, f"{NO_LABEL}label is 20x10, its image 96x80"),
    Case("three equal channels", partial(relabel, ids=full(0, shape=(HEIGHT, WIDTH, 3))), label, taken=[0]),
    Case("colours", partial(relabel, ids=PAINTED), label, f"{NO_LABEL}holds colours, not one channel of ids; {MEANS.format('colours')}"),
    Case("colours, of which one is unknown", partial(relabel, ids=PAINTED), partial(label, colours={"up": ["#28A03C"]}), f"{NO_LABEL}colour without a meaning: #000007 of 864 pixels; {MEANS.format('colours')}; PLACE/data/labels/val/001.png: 3 colours without a meaning: …"),
    Case("colours, of which many are unknown", partial(relabel, ids=SHADED), partial(label, colours={"up": ["#000000"]}), f"{NO_LABEL}96 colours without a meaning: #070000 of 80 pixels, #070001 of 80 pixels, …, …; {MEANS.format('colours')}; colours that nobody chose come from JPEG or smooth edges; PLACE/data/labels/val/001.png: …"),
    Case("colours, all known", partial(relabel, ids=PAINTED, names=("000", "001")), partial(label, colours={"up": ["#28A03C"], "void": ["#000007"]}), taken=[0, VOID]),
    Case("ids from 1", partial(relabel, ids=full(2), names=("000", "001")), partial(label, ids={"up": [1], "down": [2], "void": [0]}), taken=[1]),
    Case("ids that mean nothing", partial(relabel, ids=full(3), names=("000", "001")), partial(label, ids={"up": [1], "down": [2]}), f"{NO_LABEL}label ids [3] are outside those of labels: 1, 2 and are not the void value 255; {MEANS.format('ids')}; PLACE/data/labels/val/001.png: …"),
    Case("two labels of one image", lambda p: relabel_as(p, "bmp"), label, "PLACE/data/labels/val/000.png: is the label of the same image as 000.bmp; keep one"),
    Case("ids out of range", partial(relabel, ids=full(7)), label, f"{NO_LABEL}label ids [7] are outside 0..1 and are not the void value 255; {MEANS.format('ids')}"),
    Case("16 bits out of range", partial(relabel, ids=full(257, np.uint16)), label, f"{NO_LABEL}label ids [257] are outside 0..1 and are not the void value 255; {MEANS.format('ids')}"),
    Case("truncated", partial(truncate, name=LABEL, size=60), label, f"{NO_LABEL}label does not decode (…)"),
    Case("16 bits", partial(relabel, ids=full(1, np.uint16)), label, taken=[1]),
    Case("one bit", partial(relabel, ids=Image.fromarray(full(255)).convert("1")), label, taken=[1]),
    Case("palette: its indices are the ids", partial(relabel, ids=Image.fromarray(full(1)).convert("P")), label, taken=[1]),
    Case("one of them all void", partial(relabel, ids=full(VOID)), label, taken=[VOID]),
    Case("all void", lambda p: (relabel(p, full(VOID), ("000", "001")), label(p)), score, "every label pixel is void: there is nothing to score"),
]  # fmt: skip


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_table(folder: Path, text: str | bytes) -> None:
    (folder / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())


def names_in(folder: Path) -> list[str]:
    return read_names(folder / "t.csv", 2, "a" * 64)


def classes_in(folder: Path) -> list:
    return list(read_label_table(folder / "t.csv"))


TABLE = "PLACE/t.csv: "
VALUES = "name, and id, colour (#RRGGBB) or r, g and b"
NO_NAMES, NO_VALUES = (
    f"{TABLE}is no table with the columns cluster and name",
    f"{TABLE}is no table with the columns {VALUES}",
)
KNOWN = ["sky", "land"], {"ids": {"sky": [0], "land": [1], "void": [255]}}
PAINTS = ["sky", "land"], {"colours": {"sky": ["#4682B4"], "land": ["#00FF00"], "void": ["#000000"]}}
ASIDE = [
    *(
        Case(f"names: {what}", partial(write_table, text=text), names_in, taken=["land", "void"])
        for what, text in {
            "semicolons and capitals": "Cluster;Name\n0;land\n1;Void\n",
            "tabs": "cluster\tname\n0\tland\n1\tvoid\n",
            "sep=, and empty rows": "sep=,\r\ncluster,name\r\n0,land\r\n,\r\n1, VOID \r\n,\r\n",
            "ids as 0.0 and a byte order mark": "\ufeffcluster,name\n0.0,land\n1.0,void\n",
        }.items()
    ),
    Case("names: all void", partial(write_table, text="cluster,name\n0,void\n1,Void\n"), names_in, f"{TABLE}calls every cluster void; give one of them another name"),
    Case("names: no number", partial(write_table, text="cluster,name\n0.5,land\n1,sea\n"), names_in, f"{TABLE}line 2: the cluster '0.5' is no whole number"),
    Case("names: no header", partial(write_table, text="0,land\n1,sea\n"), names_in, f"{NO_NAMES}: there is no cluster and no name (its header is '0', 'land')"),
    Case("names: empty", partial(write_table, text=""), names_in, f"{NO_NAMES}: there is no cluster and no name (it is empty)"),
    Case("names: a name with a comma", partial(write_table, text="cluster,name\n0,land, dry\n1,sea\n"), names_in, f"{TABLE}line 2 has more cells than the header; put quotes around such a name"),
    Case("names: of another encoding", partial(write_table, text="cluster,name\n0,forêt\n1,sea\n".encode("cp1252")), names_in, f"{TABLE}is no UTF-8 text (…); save it as CSV in UTF-8"),
    *(
        Case(f"labels: {what}", partial(write_table, text=text), classes_in, taken=list(taken))
        for what, text, taken in (
            ("semicolons", "name;id\nsky;0\nland;1\nVoid;255\n", KNOWN),
            ("Excel's Unicode text", "name\tid\r\nsky\t0\r\nland\t1\r\nvoid\t255\r\n".encode("utf-16"), KNOWN),
            ("empty rows and ids as 0.0", "Name,ID\nsky,0.0\nland,1.0\n,\nVOID,255.0\n,\n", KNOWN),
            ("red, green, blue", "name,Red,Green,Blue\nsky,70,130,180\nland,0,255,0\nVoid,0,0,0\n", PAINTS),
            ("colours without #", "name,colour\nsky,4682B4\nland,00FF00\nvoid,000000\n", PAINTS),
        )
    ),
    Case("labels: a colour that lost its zeros", partial(write_table, text="name,colour\nsky,4682B4\nvoid,0\n"), classes_in, f"{TABLE}line 3 is no row of {VALUES} (0 is no colour as #4682B4; spreadsheets take the zeros from 000000, so write #000000)"),
    Case("labels: no number", partial(write_table, text="name,id\nsky,1.000\nland,2\n"), classes_in, f"{TABLE}line 2 is no row of {VALUES} ('1.000' is no whole number)"),
    Case("labels: no names", partial(write_table, text="class;id\nsky;0\nland;1\n"), classes_in, f"{NO_VALUES}: there is no name (its header is 'class', 'id')"),
    Case("labels: one class beside void", partial(write_table, text="name,id\nsky,0\nVoid,1\n"), classes_in, f"{TABLE}names 1 classes; there must be two, beside void"),
]  # fmt: skip


# ── rasters ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def geotiff(folder: Path, values: np.ndarray, kind: str = "images", palette: dict | None = None, **place) -> None:
    """Put a GeoTIFF of values (bands, height, width) in the place of the first image, or its label."""
    path = folder / "data" / kind / "val" / "000.png"
    path.unlink(missing_ok=True)
    write(path.with_suffix(".tif"), values, **{"crs": "EPSG:4326", "transform": CORNER} | place)
    if palette:
        with rasterio.open(path.with_suffix(".tif"), "r+") as data:
            data.write_colormap(1, palette)


def of_rasters(folder: Path) -> Any:
    settings = {"scale": 1, "bands": None}
    return open_dataset({"root": folder / "data", "layout": "raster", "classes": ["up", "down"], "settings": settings})


def look_at_raster(folder: Path) -> tuple[int, int, int]:
    """The colour in the middle of the first view."""
    manifest = index_views(of_rasters(folder), "val", "whole", SIZE, evaluation=True, workers=1)
    return tuple(read_views(folder / "data", manifest[:1], SIZE, "bilinear")[0, SIZE // 2, SIZE // 2].tolist())


def label_raster(folder: Path) -> list[int]:
    return np.unique(of_rasters(folder).read_label(folder / "data/labels/val/000.tif")).tolist()


def with_label(folder: Path, **place) -> None:
    """A raster, and a label of its size that lies somewhere."""
    geotiff(folder, full(9, shape=(3, HEIGHT, WIDTH)))
    geotiff(folder, full(1, shape=(1, HEIGHT, WIDTH)), "labels", **place)


CORNER = Affine(2e-7, 0, 15, 0, -2e-7, 45)
TIF, ITS_LABEL = f"{FIRST[:-3]}tif", "PLACE/data/labels/val/000.tif"
RASTERS = [
    Case("of complex numbers", lambda p: geotiff(p, full(0, np.complex64, (1, HEIGHT, WIDTH))), look_at_raster, f"{UNUSABLE}{TIF}: holds complex numbers, which are no picture; save their magnitude"),
    Case("of fewer bands than are chosen", lambda p: geotiff(p, full(0, shape=(2, HEIGHT, WIDTH))), lambda p: index_raster(p / TIF[6:], "000.tif", SIZE, 1, [3]), f"{TIF}: has 2 bands, and band 3 is asked for"),
    Case("of a palette", lambda p: geotiff(p, full(1, shape=(1, HEIGHT, WIDTH)), palette={1: (*GREEN, 255)}), look_at_raster, taken=GREEN),
    Case("of one bit", lambda p: geotiff(p, full(1, shape=(1, HEIGHT, WIDTH)), nbits=1), look_at_raster, taken=(255, 255, 255)),
    Case("a label four pixels off, in degrees", partial(with_label, transform=CORNER @ Affine.translation(4, 0)), label_raster, f"{ITS_LABEL}: lies elsewhere than {TIF} (by 4 pixels); labels are of the same grid"),
    Case("a label of larger pixels, in degrees", partial(with_label, transform=CORNER @ Affine.scale(5)), label_raster, f"{ITS_LABEL}: lies elsewhere than {TIF} (by 384 pixels); labels are of the same grid"),
    Case("a label in another system", partial(with_label, crs="EPSG:32633"), label_raster, f"{ITS_LABEL}: lies elsewhere than {TIF} (by … pixels); labels are of the same grid"),
    Case("a label with heights", partial(with_label, crs="EPSG:4979"), label_raster, taken=[1]),
    Case("a label a thousandth of a pixel off", partial(with_label, transform=CORNER @ Affine.translation(1e-3, 0)), label_raster, taken=[1]),
]  # fmt: skip


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────────

# by layout: split, list, a line of it, and the image that this means
LISTS = {
    "camvid": ("val", "val.txt", "{0}.png {0}.png", "val/{}.png"),
    "cocostuff27": ("train", "curated/train2017/Coco164kFull_Stuff_Coarse.txt", "{}", "images/train2017/{}.jpg"),
    "potsdam3": ("train", "labelled_train.txt", "{}", "imgs/{}.mat"),
}


def write_list(folder: Path, layout: str, names: tuple, end: str = "\n", encoding: str = "utf-8") -> None:
    _, listing, line, _ = LISTS[layout]
    text = end.join(line.format(name) if name else " " for name in names)
    (folder / "data" / listing).parent.mkdir(parents=True, exist_ok=True)
    (folder / "data" / listing).write_bytes(text.encode(encoding))


def of_list(layout: str, what: str, names: tuple, refused: str = "", taken: tuple = (), **options) -> Case:
    listing, pattern = f"PLACE/data/{LISTS[layout][1]}", LISTS[layout][3]
    harm = partial(write_list, layout=layout, names=names, **options)
    images = [pattern.format(name) for name in taken]
    return Case(
        f"{layout}: {what}", harm, partial(listed, layout=layout), refused.replace("LIST", listing), images or None
    )


def escape(folder: Path) -> None:
    (folder / "data/images/val/000.png").rename(folder / "elsewhere.png")
    (folder / "data/images/val/000.png").symlink_to(folder / "elsewhere.png")


def hide(folder: Path) -> None:
    images = folder / "data" / "images" / "val"
    (images / ".ipynb_checkpoints").mkdir()
    (images / "x.png").mkdir()
    for name in ("._000.jpg", ".ipynb_checkpoints/000.png"):
        shutil.copy(images / "000.png", images / name)


def only_others(folder: Path) -> None:
    images = folder / "data" / "images" / "val"
    for path in images.iterdir():
        path.unlink()
    for name in ("a.mov", "b.txt"):
        (images / name).touch()
    (images / "gone").symlink_to("nowhere")


def move_out(folder: Path) -> None:
    (folder / "data/images").rename(folder / "elsewhere")
    (folder / "data/images").symlink_to(folder / "elsewhere")


class Leading(Folder):
    """A layout that says what it should not."""

    def entries(self, split: str) -> list[Entry]:
        return [Entry(name, None) for name in ("../a.png", "/etc/a.png")]


def rename(folder: Path) -> None:
    for kind in ("images", "labels"):
        (folder / "data" / kind / "val" / "000.png").rename(folder / "data" / kind / "val" / "日本 Zürich 1.png")


def names_of(folder: Path) -> list[str]:
    return [f"{entry.image} {entry.label}" for entry in dataset(folder).entries("val")]


NAMES = "LIST: each line must give a file name without its folder, and no name twice: "
PATHS = ("../a", "/etc/a", "b/../../a", "..", "c\\a", "d\0", "e/f")
LINES = "; ".join(f"line {number}: {name!r} is not one" for number, name in enumerate(PATHS, 2))
COMMON = [
    case
    for layout in LISTS
    for case in (
        Case(f"{layout}: absent", lambda p: None, partial(listed, layout=layout), f"PLACE/data/{LISTS[layout][1]} is missing: {LAYOUTS}"),
        of_list(layout, "empty", ("", ""), "LIST lists no image"),
        of_list(layout, "repeated names", ("a", "", "b", "a"), f"{NAMES}line 4: 'a…' is on line 1 already"),
        of_list(layout, "of another encoding", ("Zürich",), "LIST: list cannot be read ('utf-8' codec…)", encoding="latin-1"),
        of_list(layout, "Windows line ends and no ASCII", ("000", "", "Zürich·1", "日本", ""), taken=("000", "Zürich·1", "日本"), end="\r\n"),
        of_list(layout, "a byte order mark", ("000", "001"), taken=("000", "001"), encoding="utf-8-sig"),
    )
]  # fmt: skip
FILES = [
    *COMMON,
    *(of_list(layout, "paths", ("fine", *PATHS), f"{NAMES}{LINES}") for layout in ("cocostuff27", "potsdam3")),
    of_list("camvid", "paths count by their names", ("../../x",), taken=("x",)),
    Case("camvid: spaces in names", lambda p: write_list(p, "camvid", ("a b",)), partial(listed, layout="camvid"), "PLACE/data/val.txt: a line must hold an image path and a label path: line 1: 'a b.png a b.png'"),
    Case("a symbolic link out of the folder", escape, names_of, taken=["images/val/000.png labels/val/000.png", "images/val/001.png labels/val/001.png"]),
    Case("hidden files, a folder called x.png", hide, names_of, taken=["images/val/000.png labels/val/000.png", "images/val/001.png labels/val/001.png"]),
    Case("a folder on another disk, linked", move_out, lambda p: len(index(p)), taken=4),
    Case("a name that leads out of the folder", lambda p: None, lambda p: index_views(Leading(p / "data"), "val", "whole", SIZE, True, 1), f"{UNUSABLE}PLACE/data/../a.png: lies outside the data set's folder; /etc/a.png: lies outside the data set's folder"),
    Case("a name in no encoding of this locale", lambda p: (p / FIRST[6:]).rename(p / "data/images/val/\udce4.png"), index, f"{UNUSABLE}'PLACE/data/images/val/\\udce4.png': the name is not in the encoding of this locale (utf-8); set PYTHONUTF8=1 in the environment, or rename it"),
    Case("names with spaces and without ASCII", rename, names_of, taken=["images/val/001.png labels/val/001.png", "images/val/日本 Zürich 1.png labels/val/日本 Zürich 1.png"]),
    Case("no folder", lambda p: shutil.rmtree(p / "data"), index, f"PLACE/data/images/val is missing: {LAYOUTS}"),
    Case("an empty folder", lambda p: [f.unlink() for f in (p / "data/images/val").iterdir()], index, "PLACE/data/images/val holds no image"),
    Case("only what is no picture", only_others, index, "PLACE/data/images/val holds no image; left out: 2 of other kinds (.mov, .txt), 1 dead links (gone)"),
]  # fmt: skip


# ── caches ───────────────────────────────────────────────────────────────────────────────────────────────────────────

STORE = "PLACE/features.zarr"
CHUNK = "features.zarr/c.1.0.0"


def restore(folder: Path, features: np.ndarray | None = None, **provenance) -> None:
    """Put another finished cache in the place of the features."""
    rows = open_store(folder / "features.zarr", {}).read(0, 40)
    shutil.rmtree(folder / "features.zarr")
    make_store(folder / "features.zarr", rows if features is None else features(rows), **(provenance or NEEDS))


def with_nan(rows: np.ndarray) -> np.ndarray:
    rows[20, 1, 2] = np.nan
    return rows


def retype(folder: Path) -> None:
    path = folder / "features.zarr" / "zarr.json"
    path.write_text(path.read_text().replace("float16", "float32"))


def flip(folder: Path) -> None:
    data = bytearray((folder / CHUNK).read_bytes())
    data[10] ^= 1
    (folder / CHUNK).write_bytes(data)


def swap(folder: Path) -> None:
    (folder / CHUNK).write_bytes((folder / "features.zarr/c.0.0.0").read_bytes())


CACHES = [
    Case("of something else", lambda p: restore(p, block=9, size=SIZE), train, f"{STORE}: made with block = 9, but this experiment needs 3; run the workflow again to rebuild it"),
    Case("of an older version, which recorded less", lambda p: restore(p, block=3), train, f"{STORE}: made with size = None, but this experiment needs 32; run the workflow again to rebuild it"),
    Case("of another type", retype, train, f"{STORE}: holds float32, where smooseg stores float16 or uint8; {REMEDY}"),
    Case("NaN", lambda p: restore(p, with_nan), train, f"{STORE}: NaN or infinite features in or after chunk 1; {REMEDY}"),
    Case("a chunk is missing", lambda p: (p / CHUNK).unlink(), train, f"{STORE}: chunk 1 is missing; {REMEDY}"),
    Case("a foreign chunk", swap, train, f"{STORE}: chunk 1 has checksum …, not …: damaged or foreign; {REMEDY}"),
    Case("a truncated chunk", partial(truncate, name=CHUNK, size=50), train, f"{STORE}: chunk 1 has checksum …, not …: damaged or foreign; {REMEDY}"),
    Case("an empty chunk", partial(truncate, name=CHUNK, size=0), train, f"{STORE}: chunk 1 has checksum , not …: damaged or foreign; {REMEDY}"),
    Case("a flipped bit", flip, train, f"{STORE}: chunk 1 is damaged (stored and computed crc32c differ); {REMEDY}"),
    Case("unfinished", lambda p: (p / "features.zarr" / COMPLETE).unlink(), train, f"{STORE}: it is incomplete; run the workflow again to finish it; {REMEDY}"),
    Case("damaged metadata", partial(truncate, name="features.zarr/zarr.json", size=40), train, f"{STORE}: metadata does not parse (…); {REMEDY}"),
    Case("a damaged list of chunks", partial(truncate, name=f"features.zarr/{COMPLETE}", size=40), train, f"{STORE}/complete.json does not parse (…); {REMEDY}"),
    Case("none", lambda p: shutil.rmtree(p / "features.zarr"), train, f"{STORE}: there is no store; {REMEDY}"),
]  # fmt: skip


# ── checkpoints and heads ────────────────────────────────────────────────────────────────────────────────────────────


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return Path("PLACE-code-ran").touch, ()


def reweigh(folder: Path, change: Callable[[dict], dict], name: str = "w.safetensors") -> None:
    save_file(change(load_file(folder / name)), folder / name)


def nan_in(key: str) -> Callable[[dict], dict]:
    return lambda state: state | {key: torch.full_like(state[key], float("nan"))}


def rehead(folder: Path, **changes) -> None:
    head = KMeansHead(CHANNELS, 2, {})
    for key, value in changes.items():
        setattr(head, key, value)
    save_head(head, "kmeans", {}, folder / "head.safetensors")


WEIGHTS, HEAD = "PLACE/w.safetensors", "PLACE/head.safetensors"
CHECKPOINTS = [
    Case("a pickle with code", lambda p: torch.save({"x": Evil()}, p / "w.pth"), partial(fetch, name="w.pth"), "PLACE/w.pth: not a checkpoint that loads safely (…)"),
    Case("a pickle of numbers", lambda p: torch.save({"x": 3}, p / "w.pth"), partial(fetch, name="w.pth"), "PLACE/w.pth: expected a table of tensors, alone or as one of teacher, student, state_dict, model"),
    Case("wrong keys", lambda p: reweigh(p, lambda s: {f"z.{k}": v for k, v in s.items()}), fetch, f"{WEIGHTS}: weights do not fit the model (missing: … and … more; unexpected: z.… and … more)"),
    Case("wrong shapes", lambda p: reweigh(p, lambda s: s | {"norm.weight": torch.zeros(3)}), fetch, f"{WEIGHTS}: weights do not fit the model (other shape: norm.weight (3,) instead of (64,))"),
    Case("NaN", lambda p: reweigh(p, nan_in("norm.weight")), fetch, f"{WEIGHTS}: weights hold NaN or infinite values in norm.weight"),
    Case("truncated", partial(truncate, name="w.safetensors", size=500), fetch, f"{WEIGHTS}: not a checkpoint that loads safely (…)"),
    Case("missing", lambda p: (p / "w.safetensors").unlink(), fetch, f"{WEIGHTS}: weights file is missing; set the backbone's weights.path"),
    Case("another file", lambda p: None, partial(fetch, sha256="0" * 64), f"w.safetensors: sha256 is …, expected {'0' * 64}; the download cannot be trusted"),
    Case("a head with NaN", lambda p: rehead(p, centroids=torch.full((2, CHANNELS), float("nan"))), predict, f"{HEAD}: centroids holds NaN or infinite values; train the head again"),
    Case("a head of other shapes", lambda p: rehead(p, centroids=torch.zeros(3, 3)), predict, f"{HEAD}: does not fit its own configuration (…)"),
    Case("no head", lambda p: reweigh(p, dict, "head.safetensors"), predict, f"{HEAD}: not a head written by smooseg (KeyError: 'smooseg')"),
    Case("a truncated head", partial(truncate, name="head.safetensors", size=99), predict, f"{HEAD}: not a head written by smooseg (…)"),
    Case("an absent head", lambda p: (p / "head.safetensors").unlink(), predict, f"{HEAD}: …"),
]  # fmt: skip


# ── configuration ────────────────────────────────────────────────────────────────────────────────────────────────────


def write_text(folder: Path, text: str, encoding: str = "utf-8") -> None:
    (folder / "config.yaml").write_text(text, encoding)


CONFIG = "PLACE/config.yaml"
CONFIGS = [
    Case("a key twice", partial(write_text, text="run: a\nruns:\n  a: {}\n  b: {}\n  a: {}\n"), configure, f"{CONFIG}: the key a appears twice, in lines 3 and 5; keep one"),
    Case("no YAML", partial(write_text, text="runs: [\n"), configure, f"{CONFIG}: does not parse (…)"),
    Case("of another encoding", partial(write_text, text="run: Zürich", encoding="latin-1"), configure, f"{CONFIG}: does not parse ('utf-8' codec…)"),
    Case("empty", partial(write_text, text=""), configure, f"{CONFIG}: holds no configuration"),
    Case("a list", partial(write_text, text="- 1"), configure, f"{CONFIG}: holds no configuration"),
    Case("absent", lambda p: None, configure, f"{CONFIG}: cannot be read (No such file or directory); give --config"),
    Case("little", partial(write_text, text="run: a"), configure, "config: runs is missing"),
]  # fmt: skip

SHIPPED = shipped_config()
# (key of the shipped configuration, its value, the message without "config: ")
SETTINGS = [
    ('rnu', 'demo', 'rnu is unknown, allowed here: … (did you mean run?)'),
    ('run', 'dmeo', "run names 'dmeo', known: demo, heads, camvid, … (did you mean demo?)"),
    ('run', 3, 'run must be string; got 3 (int)'),
    ('experiments.demo_smooseg.settings', {'b3': 1}, 'experiments.demo_smooseg.settings.b3 is unknown, allowed here: …'),
    ('experiments.demo_smooseg.settings', {'b1': '0.5'}, "experiments.demo_smooseg.settings.b1 must be number or auto; got '0.5' (str)"),
    ('experiments.demo_smooseg.settings', {'b1': None}, 'experiments.demo_smooseg.settings.b1 must be number or auto; got None (NoneType)'),
    ('experiments.demo_smooseg.settings', {'steps': 0}, 'experiments.demo_smooseg.settings.steps breaks the rule minimum: 1; got 0 (int)'),
    ('experiments.demo_smooseg.settings', {'steps': True}, 'experiments.demo_smooseg.settings.steps must be integer; got True (bool)'),
    ('experiments.demo_kmeans.settings', {'b1': 0.5}, 'experiments.demo_kmeans.settings.b1 is unknown, allowed here: …'),
    ('experiments.demo_smooseg.head', 'smoseg', "experiments.demo_smooseg.head must be one of …, linear, …, stego (did you mean smooseg?); got 'smoseg' (str)"),
    ('experiments.demo_smooseg.dataset', 'kitti', "experiments.demo_smooseg.dataset names 'kitti', known: camvid, cityscapes, cocostuff27, demo, potsdam3, potsdam3_320, facade, crops, drone, roads"),
    ('experiments.demo_smooseg.backbone', 'vgg', "experiments.demo_smooseg.backbone names 'vgg', known: …"),
    ('experiments.demo_smooseg.clusters', 1, 'experiments.demo_smooseg.clusters breaks the rule minimum: 2; got 1 (int)'),
    ('experiments.demo_smooseg.clusters', 256, 'experiments.demo_smooseg.clusters breaks the rule maximum: 255; got 256 (int)'),
    ('experiments.a/b', {'dataset': 'demo', 'backbone': 'dino_s8', 'head': 'kmeans'}, "experiments breaks the rule pattern: ^[A-Za-z0-9][A-Za-z0-9_-]*(@[A-Za-z0-9_=,.+-]+)?$; got 'a/b' (str)"),
    ('runs.demo', {'experiments': []}, 'runs.demo selects nothing: give it experiments, tables, sweeps or the suite'),
    ('runs.demo', {'experiments': ['nothing']}, "runs.demo.experiments names 'nothing', known: …"),
    ('runs.demo', {}, 'runs.demo selects nothing: give it experiments, tables, sweeps or the suite'),
    ('runs.demo', {'tables': ['table9']}, "runs.demo.tables names 'table9', known: … (did you mean table6?)"),
    ('tables.table1.rows', [{'method': 'a', 'experiment': 'b'}], "tables.table1.rows names 'b', known: …"),
    ('tables.table1.rows', [], 'tables.table1.rows breaks the rule minItems: 1; got [] (list)'),
    ('sweeps.fig6.experiment', 'camvid_pluss', "sweeps.fig6.experiment names 'camvid_pluss', known: … (did you mean camvid_plus?)"),
    ('sweeps.fig6.settings', {'b9': [1]}, 'experiments.camvid_smooseg@b9=1.settings.b9 is unknown, allowed here: …'),
    ('sweeps.fig6.settings', {'b1': ['x']}, "experiments.camvid_smooseg@b1=x.settings.b1 must be number or auto; got 'x' (str)"),
    ('sweeps.fig6.settings', {'b1': [1, 1]}, 'sweeps.fig6.settings.b1 must hold at least one value, and none twice; got [1, 1]'),
    ('sweeps.fig6.settings', {'b1': {'from': 0}}, "sweeps.fig6.settings.b1 must be a list or {from, to, number} with numbers, 2 to 10000 of them; got {'from': 0}"),
    ('sweeps.fig6.settings', {'b1': {'from': 'a', 'to': 'b', 'number': 3}}, "sweeps.fig6.settings.b1 must be a list or {from, to, number} with numbers, 2 to 10000 of them; got {'from': 'a', 'to': 'b', 'number': 3}"),
    ('sweeps.fig6.settings', {'clusters': [3, 300]}, 'experiments.camvid_smooseg@clusters=300.clusters breaks the rule maximum: 255; got 300 (int)'),
    ('sweeps.fig6.settings', {'clusters': ['x']}, "experiments.camvid_smooseg@clusters=x.clusters must be a number or auto; got 'x' (str)"),
    ('tables.summary', {'title': 'a', 'rows': [{'method': 'a'}]}, 'a table or sweep cannot be called summary: that target or file has another use'),
    ('tables.train_head', {'title': 'a', 'rows': [{'method': 'a'}]}, 'a table or sweep cannot be called train_head: that target or file has another use'),
    ('sweeps.tables', {'experiment': 'camvid_smooseg', 'settings': {'b1': [1]}}, 'a table or sweep cannot be called tables: that target or file has another use'),
    ('datasets.camvid.labels', {'ids': {'car': [1], 'Void': [1]}}, 'datasets.camvid: labels give 1 to void and to another class; keep one'),
    ('tables.fig6', {'title': 'a', 'rows': [{'method': 'a'}]}, 'a table or sweep cannot be called fig6: that target or file has another use'),
    ('experiments.camvid_linear.clusters', 5, 'experiments.camvid_linear.clusters is 5, but a linear head has one output for each of the 11 classes'),
    ('datasets.cityscapes.classes', ['a', 'b'], 'datasets.cityscapes: cityscapes: layout Cityscapes has void 255 and the classes road, sidewalk, …; got void 255 and a, b'),
    ('runs.demo.seeds', [0, 0], 'runs.demo.seeds lists 0 twice; keep one'),
    ('datasets.camvid.classes', ['sky', 'car', 'sky'], 'datasets.camvid.classes lists sky twice; keep one'),
    ('datasets.camvid.classes', ['sky', ' '], "datasets.camvid.classes.1 must not be empty; got ' ' (str)"),
    ('backbones.dino_s8.weights', {'source': 'file'}, 'backbones.dino_s8.weights.path is missing, which source file needs'),
    ('backbones.dino_s8.block', 1.5, 'backbones.dino_s8.block must be integer or array; got 1.5 (float)'),
    ('datasets.demo.eval.size', 8, 'datasets.demo.eval.size breaks the rule minimum: 16; got 8 (int)'),
    ('extract', {'batch': 24}, 'extract.batch breaks the rule multipleOf: 16; got 24 (int)'),
    ('extract', {'precision': 'fp16'}, "extract.precision must be one of auto, float32, bfloat16, float16; got 'fp16' (str)"),
    ('extract', {'cache': 'https://me:secret@host/bucket'}, 'extract.cache holds a user or password, which logs would show; set them outside'),
    ('crf', {'iterations': -1}, 'crf.iterations breaks the rule minimum: 1; got -1 (int)'),
    ('results', 'a{b}', "results must hold no { and no }, which Snakemake takes for wildcards; got 'a{b}' (str)"),
    ('data_root', 'a{b}', "data_root must hold no { and no }, which Snakemake takes for wildcards; got 'a{b}' (str)"),
    ('results', '~nobody-of-that-name/x', "~nobody-of-that-name/x: Could not determine home directory."),
    ('datasets.camvid.labels', {'ids': {'car': [300], 'wall': [1]}}, "datasets.camvid: labels name 'wall', which is none of the classes sky, building, …, nor void"),
    ('datasets.camvid.labels', {'ids': {'car': [1], 'sky': [0, 1]}}, 'datasets.camvid: labels give 1 to sky and to another class; keep one'),
    ('datasets.camvid.labels', {'ids': {'car': 1}}, 'datasets.camvid.labels.ids.car must be array; got 1 (int)'),
    ('datasets.camvid.labels', {'colours': {'car': ['red']}}, "datasets.camvid.labels.colours.car.0 breaks the rule pattern: ^#[0-9A-Fa-f]{6}$; got 'red' (str)"),
    ('datasets.cityscapes.labels', {'ids': {'car': [1]}}, 'datasets.cityscapes: layout Cityscapes knows what its labels mean; leave out labels'),
    ('datasets.camvid.void', 5, "datasets.camvid.void is 5, which is also a class's id"),
    ('datasets.demo.eval.split', 'test', 'datasets.demo is generated, so its layout must be folder, its splits train and val, and its classes sky, water, grass, tree, building, road'),
    ('evaluate', [], 'evaluate breaks the rule minItems: 1; got [] (list)'),
    ('suite_heads', ['kmean'], "suite_heads names 'kmean', known: cause, …, smooseg_plus, stego (did you mean kmeans?)"),
    ('suite_heads', [], 'suite_heads breaks the rule minItems: 1; got [] (list)'),
    ('suite_heads', 'kmeans', "suite_heads must be array or null; got 'kmeans' (str)"),
    ('suite_datasets', ['camvit'], "suite_datasets names 'camvit', known: camvid, … (did you mean camvid?)"),
    ('suite', {'seeds': []}, 'suite.seeds breaks the rule minItems: 1; got [] (list)'),
    ('suite', {'seed': [0]}, 'suite.seed is unknown, allowed here: seeds, presets, backbone, evaluate (did you mean seeds?)'),
    ('datasets.camvid.suite', 1, 'datasets.camvid.suite must be boolean; got 1 (int)'),
    ('tables.suite', {'title': 'a', 'rows': [{'method': 'a'}]}, 'a table or sweep cannot be called suite: that target or file has another use'),
    ("run", None, "run must be string; got None (NoneType)"),
    ("runs", None, "runs must be object; got None (NoneType)"),
    ("runs", {1: {"experiments": ["demo_kmeans"]}}, "runs has the key 1 (int), which must be text: write it in quotes"),
    ("experiments.demo_smooseg.settings", {"steps": -5}, "experiments.demo_smooseg.settings.steps breaks the rule minimum: 1; got -5 (int)"),
    ("experiments.demo_smooseg.settings", {"steps": 600.0}, "experiments.demo_smooseg.settings.steps must be integer; got 600.0 (float)"),
    ("experiments.demo_smooseg.settings", {"b1": float("nan")}, "experiments.demo_smooseg.settings.b1 must be number or auto; got nan (float)"),
    ("experiments.demo_smooseg.settings", {"b1": "1e-3"}, "experiments.demo_smooseg.settings.b1 must be number or auto; got '1e-3' (str)"),
    ("experiments.demo_smooseg.clusters", 0, "experiments.demo_smooseg.clusters breaks the rule minimum: 2; got 0 (int)"),
    ("datasets.demo.classes", ["sky", True], "datasets.demo.classes.1 must be string; got True (bool)"),
    ("datasets.demo.layout", "tree", "datasets.demo.layout must be one of camvid, cityscapes, cocostuff27, folder, potsdam3, raster; got 'tree' (str)"),
    ("sweeps.fig6.settings", {"b1": {"from": 0, "to": 1, "number": 10**9}}, "sweeps.fig6.settings.b1 must be a list or {from, to, number} with numbers, 2 to 10000 of them; got {…}"),
    ("fetch", "yes", "fetch must be boolean; got 'yes' (str)"),
    ("datasets.camvid.source", 5, "datasets.camvid.source must be string or object; got 5 (int)"),
    ("datasets.camvid.source", {"gti": "https://a/b"}, "datasets.camvid.source.gti is unknown, allowed here: git, commit, url, sha256, folder, size, licence, citation (did you mean git?)"),
    ("datasets.camvid.source", {"git": "me@host:b"}, "datasets.camvid.source.git must begin with https://, http://, ssh:// or file://, without a user; got 'me@host:b' (str)"),
    ("datasets.camvid.source", {"git": "--upload-pack=rm"}, "datasets.camvid.source.git must begin with https://, http://, ssh:// or file://, without a user; got '--upload-pack=rm' (str)"),
    ("datasets.camvid.source", {"git": "https://me:secret@a/b"}, "datasets.camvid.source.git must begin with https://, http://, ssh:// or file://, without a user; got 'https://me:secret@a/b' (str)"),
    ("datasets.camvid.source", {"url": "ftp://a/b"}, "datasets.camvid.source.url must begin with https://, http:// or file://, without a user; got 'ftp://a/b' (str)"),
    ("datasets.camvid.source", {"git": "https://a/b", "commit": "main"}, "datasets.camvid.source.commit must be a commit's 40 digits and letters a to f; got 'main' (str)"),
    ("datasets.camvid.source", {"url": "https://a/b", "sha256": "0"}, "datasets.camvid.source.sha256 must be a sha256's 64 digits and letters a to f; got '0' (str)"),
    ("datasets.camvid.source", {"folder": "/etc"}, "datasets.camvid.source.folder must be a path below the folder, without any of {}*?[] and backslashes; got '/etc' (str)"),
    ("datasets.camvid.source", {"licence": "free"}, "datasets.camvid: source must have git and commit, or url and sha256; it has none"),
    ("datasets.camvid.source", {"git": "https://a/b", "url": "https://a/b"}, "datasets.camvid: source must have git and commit, or url and sha256; it has git and url"),
    ("datasets.camvid.source", {"git": "https://a/b"}, "datasets.camvid: source.git needs commit, and takes no sha256"),
    ("datasets.camvid.source", {"url": "https://a/b", "commit": "0" * 40}, "datasets.camvid: source.url needs sha256, and takes no commit"),
    ("datasets.camvid.source", {"git": "https://a/b", "commit": "0" * 40, "folder": "a/../.."}, "datasets.camvid: source.folder a/../.. must lie in the repository, and be written as a/b"),
    ("datasets.camvid.source", {"git": "https://a/b", "commit": "0" * 40, "folder": "./a//b"}, "datasets.camvid: source.folder ./a//b must lie in the repository, and be written as a/b"),
    ("datasets.camvid.labels", {"ids": {"car": ["9"]}}, "datasets.camvid.labels.ids.car.0 must be a number, or a range as 0-127; got '9' (str)"),
    ("datasets.camvid.labels", {"ids": {"car": ["9-3"]}}, "datasets.camvid: labels: a range of ids must rise, by less than 65536; got 9-3"),
    ("datasets.facade.settings", {"splits": {"train": {"lst": "a"}}}, "datasets.facade.settings.splits.train.lst is unknown, allowed here: list, key, without, prefix, skip, first (did you mean list?)"),
    ("datasets.facade.settings", {"images": "/etc"}, "datasets.facade.settings.images must be a path below the folder, without any of {}*?[] and backslashes; got '/etc' (str)"),
    ("sweeps.fig6.settings", {key: {"from": 0, "to": 1, "number": 200} for key in ("b1", "b2")}, "sweeps.fig6 has 40000 points; take 10000 at most"),
]  # fmt: skip


def changed(key: str, value: Any) -> Callable[[Path], dict]:
    """A stage: the shipped configuration with another value is resolved."""

    def stage(folder: Path) -> dict:
        config = inner = copy.deepcopy(SHIPPED)
        *parents, last = key.split(".")
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
        return resolve(config)

    return stage


CONFIGS += [Case(key, lambda p: None, changed(key, value), f"config: {message}") for key, value, message in SETTINGS]
CASES = {
    "image": IMAGES,
    "label": LABELS,
    "table": ASIDE,
    "raster": RASTERS,
    "list": FILES,
    "cache": CACHES,
    "checkpoint": CHECKPOINTS,
    "config": CONFIGS,
}


# ── the test ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def matches(message: str, folder: Path, text: str) -> bool:
    pattern = re.escape(message).replace("PLACE", re.escape(str(folder))).replace("…", ".*")
    return re.fullmatch(pattern, text) is not None


def files(folder: Path) -> dict[str, bytes]:
    """Files below a folder; an unfinished store may stay, since no reader takes one and the next run goes on there."""
    stores = [path for path in folder.rglob("*.zarr") if not (path / COMPLETE).is_file()]
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(store in path.parents for store in stores)
    }


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=f"{kind}: {c.what}") for kind, some in CASES.items() for c in some]
)
def test_bad_input(case, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    case.harm(place)
    before = files(place)
    if case.refused:
        with pytest.raises(SystemExit) as stopped, job(str(tmp_path / "log"), 1):  # as every rule's script
            case.stage(place)
        assert matches(f"error: {case.refused}", place, stopped.value.code), stopped.value.code
        assert files(place) == before
        assert "Traceback" not in (tmp_path / "log").read_text()
    else:
        assert case.stage(place) == case.taken
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "log") == ["place"]


def write_pickle(project: Project) -> None:
    torch.save({"x": Evil()}, project.folder / "tiny.pth")


def repeat_key(project: Project) -> None:
    with open(project.folder / "config.yaml", "a", encoding="utf-8") as file:
        file.write("\nresults: elsewhere\n")


PICKLE = {"backbones": {"tiny": {"weights": {"path": "tiny.pth"}}}}
THROUGH_SNAKEMAKE = [
    (repeat_key, "all", {}, r"config\.yaml: the key results appears twice, in lines 8 and \d+; keep one"),
    (lambda project: None, "all", {"experiments": {"tiny_smooseg": {"settings": {"b11": 0.1}}}}, r"config: experiments\.tiny_smooseg\.settings\.b11 is unknown, allowed here: b1, b2"),
    (lambda project: None, "all", {"tables": {"train_head": {"title": "a", "rows": [{"method": "a"}]}}}, r"config: a table or sweep cannot be called train_head: that target or file has another use"),
    (lambda project: None, "suite", {"suite": {"backbone": "tinny"}}, r"config: suite\.backbone names 'tinny', known: .*\(did you mean tiny\?\)"),
    (write_pickle, "results/weights/tiny.json", PICKLE, r"error: tiny\.pth: not a checkpoint that loads safely \("),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "target", "changes", "message"), THROUGH_SNAKEMAKE)
def test_snakemake_says_it_without_a_traceback(tmp_path, tiny_checkpoint, harm, target, changes, message):
    project = Project(tmp_path, tiny_checkpoint)
    harm(project)
    result = project.snakemake(target, **changes)
    said = result.stdout + result.stderr
    assert result.returncode == 1
    assert re.search(message, said), said
    assert "Traceback" not in said
    assert not [
        path for path in (tmp_path / "results").rglob("*") if path.is_file() and not {"logs", ".lock"} & set(path.parts)
    ]
    assert not (tmp_path / "PLACE-code-ran").exists()
