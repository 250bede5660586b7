"""Cityscapes, COCO-Stuff-27 and Potsdam-3: small trees in their layouts on disk, followed to the pixel."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smooseg.errors import SmoosegError
from smooseg.evaluation.scoring import read_labels
from smooseg.features.store import open_store
from smooseg.images.datasets import LAYOUTS, VOID, open_dataset
from smooseg.images.imaging import decode, read_views
from smooseg.images.indexing import index_views
from smooseg.images.manifests import manifest_sha256
from tests.conftest import ROOT, make_store, shipped_config
from tests.support.layouts import CASES, Case, save_label, write_case, write_list

COCO = ROOT.parent / "shared" / "data" / "cocostuff27"
WIDTH, HEIGHT = 96, 80


@pytest.fixture(params=CASES, ids=[case.layout for case in CASES])
def made(request, tmp_path):
    """Three noise images and labels in which every raw value occurs: the case, root, images and labels."""
    case, rng = request.param, np.random.default_rng(0)
    images = rng.integers(0, 256, (3, HEIGHT, WIDTH, 3)).astype(np.uint8)
    values = np.array(list(case.class_of))
    labels = values[np.arange(3 * HEIGHT * WIDTH) % len(values)].reshape(3, HEIGHT, WIDTH)
    write_case(tmp_path, case, images, labels)
    return case, tmp_path, images, labels


def labels_store(case: Case, root: Path, manifest, size: int) -> np.ndarray:
    """What read_labels stores for an evaluation manifest: uint8 (images, size, size)."""
    provenance = {"size": size, "manifest_sha256": manifest_sha256(manifest)}
    make_store(root / "features.zarr", np.zeros((len(manifest), 16, 4), np.float16), **provenance)
    manifest.to_parquet(root / "views.parquet")
    read_labels(
        root / "views.parquet", case.open(root), case.split, root / "features.zarr", root / "labels.zarr", code="1"
    )
    return open_store(root / "labels.zarr", {}).read(0, len(manifest) // 2)


def test_entries_are_listed_in_order_with_their_labels(made):
    case, root, _, _ = made
    entries = case.open(root).entries(case.split)
    assert [(e.image, e.label) for e in entries] == [(case.image.format(n), case.label.format(n)) for n in range(3)]


def test_training_views_are_the_crops_of_the_file_to_the_pixel(made):
    case, root, images, _ = made
    if case.layout == "cocostuff27":  # what the lossy files hold
        images = [np.asarray(Image.open(root / case.image.format(n))) for n in range(3)]
    manifest = index_views(case.open(root), case.split, "five", 40, evaluation=False, workers=2)
    views = read_views(root, manifest, 40, "bilinear").reshape(3, 5, 40, 40, 3)
    for image, crops in zip(images, views, strict=True):
        corners = [image[y : y + 40, x : x + 40] for x, y in ((4, 0), (52, 0), (4, 40), (52, 40), (28, 20))]
        np.testing.assert_array_equal(crops, corners)


@pytest.mark.parametrize("size", [80, 40])
def test_evaluation_views_and_labels_meet_pixel_for_pixel(made, size):
    case, root, _, labels = made
    manifest = index_views(case.open(root), case.split, "whole", size, evaluation=True, workers=2)
    views = read_views(root, manifest, size, "nearest")
    step = 80 // size
    for number in range(3):
        image = decode(root / case.image.format(number), (root / case.image.format(number)).read_bytes()).rgb
        square = np.asarray(image)[step // 2 :: step, 8 + step // 2 : 88 : step]
        np.testing.assert_array_equal(views[2 * number], square)
        np.testing.assert_array_equal(views[2 * number + 1], square[:, ::-1])
    classes = np.vectorize(case.class_of.get)(labels[:, step // 2 :: step, 8 + step // 2 : 88 : step])
    np.testing.assert_array_equal(labels_store(case, root, manifest, size), classes)


def test_sources_are_the_list_and_folders_of_the_files(made):
    case, root, _, _ = made
    dataset = case.open(root)
    sources = [source for source in dataset.image_sources(case.split) if source.is_dir()]
    assert (root / case.image.format(0)).is_relative_to(*sources)
    assert set(dataset.image_sources(case.split)) == {*sources, *([root / case.listing] if case.listing else [])}
    (labels,) = dataset.label_sources(case.split)
    assert (root / case.label.format(0)).is_relative_to(labels)


def test_every_missing_or_broken_image_is_named(made):
    case, root, _, _ = made
    paths = [root / case.image.format(number) for number in range(3)]
    paths[0].unlink()
    paths[2].write_bytes(paths[2].read_bytes()[:300])
    if not case.listing:
        paths[0].symlink_to(paths[0].with_name("absent"))
    with pytest.raises(SmoosegError) as raised:
        index_views(case.open(root), case.split, "whole", 40, evaluation=True, workers=2)
    text = str(raised.value)
    assert f"{paths[0]}: cannot be read (No such file" in text
    assert f"{paths[2]}: " in text and "does not decode" in text
    assert str(paths[1]) not in text


def test_twenty_missing_images_are_named_and_the_rest_counted(made):
    case, root, _, _ = made
    if case.listing:
        write_list(root, case, range(30))
    for number in range(30):
        path = root / case.image.format(number)
        path.unlink(missing_ok=True)
        if not case.listing:
            path.symlink_to(path.with_name("absent"))
    with pytest.raises(SmoosegError, match="and 10 more") as raised:
        index_views(case.open(root), case.split, "whole", 40, evaluation=True, workers=2)
    assert str(raised.value).count("cannot be read") == 20


@pytest.mark.parametrize("unknown", [254, 40])
def test_every_bad_label_is_named(made, unknown):
    case, root, _, labels = made
    unknown = unknown if unknown not in case.class_of else 182
    manifest = index_views(case.open(root), case.split, "whole", 40, evaluation=True, workers=2)
    paths = [root / case.label.format(number) for number in range(3)]
    save_label(paths[0], np.where(np.arange(WIDTH) == 50, unknown, labels[0]))
    save_label(paths[1], labels[1][:, 1:])
    paths[2].unlink()
    with pytest.raises(SmoosegError) as raised:
        labels_store(case, root, manifest, 40)
    problems = (
        f"label ids [{unknown}] are outside",
        "label is 95x80, its image 96x80",
        "label cannot be read (No such",
    )
    for path, problem in zip(paths, problems, strict=True):
        assert f"{path}: {problem}" in str(raised.value)


def test_a_label_that_does_not_decode_is_named(made):
    case, root, _, _ = made
    path = root / case.label.format(1)
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(SmoosegError, match="does not decode") as raised:
        case.open(root).read_label(path)
    assert str(path) in str(raised.value)


def test_a_layout_knows_its_classes_and_refuses_others(made):
    case, root, _, _ = made
    settings = {"root": root, "layout": case.layout}
    names = case.open(root).classes
    assert open_dataset(settings | {"classes": names, "void": 255}).classes == names
    assert set(case.class_of.values()) == {*range(len(names)), VOID}
    for wrong in ({"classes": names[:-1]}, {"classes": names[::-1]}, {"void": 3}):
        with pytest.raises(SmoosegError, match=f"has void 255 and the classes {names[0]}"):
            open_dataset(settings | wrong)


def test_a_missing_data_set_points_to_the_page_of_layouts(tmp_path):
    for case in CASES:
        with pytest.raises(SmoosegError, match="is missing.*data-sets.md"):
            case.open(tmp_path).entries(case.split)


def test_configured_data_sets_have_the_classes_of_their_layout():
    for name, dataset in shipped_config()["datasets"].items():
        fixed = LAYOUTS[dataset["layout"]].CLASSES
        assert not fixed or fixed == tuple(dataset["classes"]), name


def test_importing_layouts_is_light():
    code = "import sys, smooseg.images.datasets; print(*{'torch', 'scipy', 'pandas', 'sklearn', 'zarr'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).strip() == ""


def test_cityscapes_sorts_cities_and_takes_no_other_file(tmp_path):
    names = ["bern/bern_2_leftImg8bit.png", "aachen/aachen_9_leftImg8bit.png", "bern/bern_1_leftImg8bit.png"]
    for name in [*names, "bern/notes.txt", "bern/bern_1_rightImg8bit.png"]:
        (tmp_path / "leftImg8bit/train" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "leftImg8bit/train" / name).touch()
    (tmp_path / "leftImg8bit/test").mkdir()
    dataset = open_dataset({"root": tmp_path, "layout": "cityscapes"})
    assert [e.image for e in dataset.entries("train")] == [f"leftImg8bit/train/{name}" for name in sorted(names)]
    with pytest.raises(SmoosegError, match="test holds no image"):
        dataset.entries("test")


def test_cityscapes_names_are_those_of_ids_7_to_33():
    names = dict(enumerate(LAYOUTS["cityscapes"].CLASSES, 7))
    assert {i: names[i] for i in (7, 10, 14, 18, 23, 26, 30, 33)} == {
        7: "road", 10: "rail track", 14: "guard rail", 18: "polegroup",
        23: "sky", 26: "car", 30: "trailer", 33: "bicycle",
    }  # fmt: skip


def test_cocostuff_joins_its_classes_as_published():
    if not COCO.is_dir():
        pytest.skip("the published table is not at ../shared/data/cocostuff27")
    table = json.loads((COCO / "fine_to_coarse.json").read_text())
    layout = LAYOUTS["cocostuff27"]
    assert list(layout.CLASS_OF) == table["fine_to_coarse"]
    assert list(layout.CLASSES) == table["classes"]
    assert table["void"] == VOID and VOID not in layout.CLASS_OF
    dataset = open_dataset({"root": COCO, "layout": "cocostuff27"})
    assert (len(dataset.entries("train7")), len(dataset.entries("val"))) == (49629, 2175)


def test_cocostuff_examples():
    layout = LAYOUTS["cocostuff27"]
    examples = {0: "person", 2: "vehicle", 16: "animal", 123: "plant", 148: "ground", 156: "sky"}
    assert {fine: layout.CLASSES[layout.CLASS_OF[fine]] for fine in examples} == examples
    assert len(layout.CLASS_OF) == 182


def test_cocostuff_splits_have_their_own_lists(tmp_path):
    lists = {"train": "train2017/Coco164kFull_Stuff_Coarse.txt", "train7": "train2017/Coco164kFull_Stuff_Coarse_7.txt"}
    (tmp_path / "curated" / "train2017").mkdir(parents=True)
    for split, listing in lists.items():
        (tmp_path / "curated" / listing).write_text(f"{split} 1\n")
    dataset = open_dataset({"root": tmp_path, "layout": "cocostuff27"})
    for split in lists:
        assert [e.image for e in dataset.entries(split)] == [f"images/train2017/{split} 1.jpg"]
    with pytest.raises(SmoosegError, match="split 'test' is none of train, train7, val"):
        dataset.entries("test")


def test_a_grey_photograph_becomes_rgb(tmp_path):
    path = tmp_path / "grey.jpg"
    Image.fromarray(np.full((8, 8), 77, np.uint8)).save(path)
    assert (np.asarray(decode(path, path.read_bytes()).rgb) == [77, 77, 77]).all()


def test_train_ids_that_are_stored_as_label_ids_are_doubted(tmp_path, caplog):
    case = CASES[0]
    for kind in (case.image, case.label):
        (tmp_path / kind.format(0)).parent.mkdir(parents=True)
    Image.new("RGB", (80, 80)).save(tmp_path / case.image.format(0))
    train_ids = np.tile(np.arange(20, dtype=np.uint8), (80, 4))  # road is 0, bicycle 18; 19 stands for void
    save_label(tmp_path / case.label.format(0), np.where(train_ids == 19, VOID, train_ids))
    manifest = index_views(case.open(tmp_path), case.split, "whole", 80, evaluation=True, workers=1)
    caplog.set_level(logging.INFO)
    labels_store(case, tmp_path, manifest, 80)
    assert "1 views of 1 images have a label" in caplog.messages
    (doubt,) = [message for message in caplog.messages if "occur in no label" in message]
    assert doubt.startswith("15 of 27 classes occur in no label: ")
    assert "Cityscapes' files are the labelIds" in doubt
