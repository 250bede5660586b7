"""Layouts on disk: what is listed, how labels are read, what is refused."""

import numpy as np
import pytest
from PIL import Image

from smooseg.errors import SmoosegError
from smooseg.images.datasets import VOID, open_dataset


def settings(root, layout="folder", classes=("down", "up"), void=255) -> dict:
    return {"root": root, "layout": layout, "classes": list(classes), "void": void}


def test_folder_pairs_images_with_labels_by_name(folder):
    (folder / "labels" / "train" / "001.png").unlink()
    entries = open_dataset(settings(folder)).entries("train")
    assert [entry.image for entry in entries] == [f"images/train/{i:03d}.png" for i in range(4)]
    assert [entry.label for entry in entries[:2]] == ["labels/train/000.png", None]


def test_camvid_takes_file_names_from_its_list(tmp_path):
    (tmp_path / "val.txt").write_text("/SegNet/CamVid/val/a.png /SegNet/CamVid/valannot/b.png\r\n\n../../x.png y.png\n")
    entries = open_dataset(settings(tmp_path, "camvid")).entries("val")
    assert [(e.image, e.label) for e in entries] == [("val/a.png", "valannot/b.png"), ("val/x.png", "valannot/y.png")]


def test_void_becomes_255_and_unknown_ids_are_refused(tmp_path):
    dataset = open_dataset(settings(tmp_path, void=11))
    path = tmp_path / "label.png"
    Image.fromarray(np.array([[0, 1, 11]], np.uint8)).save(path)
    assert dataset.read_label(path).tolist() == [[0, 1, VOID]]
    Image.fromarray(np.array([[0, 7]], np.uint8)).save(path)
    with pytest.raises(SmoosegError, match=r"label ids \[7\] are outside 0\.\.1"):
        dataset.read_label(path)


def test_real_camvid(camvid):
    dataset = open_dataset(settings(camvid, "camvid", classes=[str(i) for i in range(11)], void=11))
    entries = dataset.entries("val")
    assert (len(entries), len(dataset.entries("train"))) == (101, 367)
    label = dataset.read_label(camvid / entries[0].label)
    assert label.shape == (360, 480)
    assert set(np.unique(label)) <= {*range(11), VOID}
