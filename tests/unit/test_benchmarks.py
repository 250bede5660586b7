"""What benchmarks find and count before they measure anything."""

import numpy as np

from benchmarks.sets import find_datasets
from benchmarks.view_size import TRIMAP, near_border
from smooseg.images.datasets import VOID


def test_folders_with_labels_and_a_line_of_classes_are_sets(tmp_path):
    for name in ("fields", "unlabelled"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text("# A set\nclasses: soil, weed\n", "utf-8")
    (tmp_path / "fields" / "labels").mkdir()
    (tmp_path / "camvid").mkdir()
    found = find_datasets(tmp_path)
    assert list(found) == ["camvid", "fields"]
    assert found["fields"]["classes"] == ["soil", "weed"]
    assert "sky" in found["camvid"]["classes"]


def test_pixels_near_a_border_are_as_many_on_either_side_and_void_has_none():
    label = np.zeros((4, 40), np.uint8)
    label[:, 20:] = 1
    label[:, 34:] = VOID
    near = near_border(label)
    assert (near == near[0]).all()
    assert np.flatnonzero(near[0]).tolist() == list(range(20 - TRIMAP, 20 + TRIMAP))
    assert not near_border(label[:, 20:]).any()
