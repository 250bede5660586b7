"""Layouts on disk: what is listed, how labels are read, what is refused."""

import numpy as np
import pytest
from PIL import Image

from smooseg.datasets import VOID, open_dataset
from smooseg.errors import SmoosegError


def settings(root, layout="folder", classes=("down", "up"), void=255) -> dict:
    return {"root": root, "layout": layout, "classes": list(classes), "void": void}


def test_folder_pairs_images_with_labels_by_name(folder):
    (folder / "labels" / "train" / "001.png").unlink()
    entries = open_dataset(settings(folder)).entries("train")
    assert [entry.image for entry in entries] == [f"images/train/{i:03d}.png" for i in range(4)]
    assert [entry.label for entry in entries[:2]] == ["labels/train/000.png", None]


@pytest.mark.parametrize(("split", "message"), [("test", "is missing"), ("empty", "holds no image")])
def test_folder_without_images_says_so(folder, split, message):
    (folder / "images" / "empty").mkdir()
    with pytest.raises(SmoosegError, match=message):
        open_dataset(settings(folder)).entries(split)


def test_camvid_takes_file_names_from_its_list(tmp_path):
    (tmp_path / "val.txt").write_text("/SegNet/CamVid/val/a.png /SegNet/CamVid/valannot/b.png\r\n\n../../x.png y.png\n")
    entries = open_dataset(settings(tmp_path, "camvid")).entries("val")
    assert [(e.image, e.label) for e in entries] == [("val/a.png", "valannot/b.png"), ("val/x.png", "valannot/y.png")]


@pytest.mark.parametrize(("text", "message"), [("", "lists no image"), ("a.png\nb.png c.png\n", "line 1: 'a.png'")])
def test_camvid_refuses_a_bad_list(tmp_path, text, message):
    (tmp_path / "val.txt").write_text(text)
    with pytest.raises(SmoosegError, match=message):
        open_dataset(settings(tmp_path, "camvid")).entries("val")


def test_camvid_without_its_list_points_to_the_readme(tmp_path):
    with pytest.raises(SmoosegError, match=r"val\.txt is missing.*README"):
        open_dataset(settings(tmp_path, "camvid")).entries("val")


def test_void_becomes_255_and_unknown_ids_are_refused(tmp_path):
    dataset = open_dataset(settings(tmp_path, void=11))
    path = tmp_path / "label.png"
    Image.fromarray(np.array([[0, 1, 11]], np.uint8)).save(path)
    assert dataset.read_label(path).tolist() == [[0, 1, VOID]]
    Image.fromarray(np.array([[0, 7]], np.uint8)).save(path)
    with pytest.raises(SmoosegError, match=r"label ids \[7\] are outside 0\.\.1"):
        dataset.read_label(path)


def test_a_label_must_be_one_channel_that_decodes(tmp_path):
    dataset, path = open_dataset(settings(tmp_path)), tmp_path / "label.png"
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    with pytest.raises(SmoosegError, match="one channel"):
        dataset.read_label(path)
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(SmoosegError, match="does not decode"):
        dataset.read_label(path)


def test_real_camvid(camvid):
    dataset = open_dataset(settings(camvid, "camvid", classes=[str(i) for i in range(11)], void=11))
    entries = dataset.entries("val")
    assert (len(entries), len(dataset.entries("train"))) == (101, 367)
    label = dataset.read_label(camvid / entries[0].label)
    assert label.shape == (360, 480)
    assert set(np.unique(label)) <= {*range(11), VOID}
