"""The development suite: which sets it finds, how labels are grouped, and what its summary counts."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.sets import GROUPS, Case, Grouped, find_datasets
from benchmarks.suite import parse_head, summary
from benchmarks.view_size import TRIMAP, near_border
from smooseg.features.store import open_store
from smooseg.images.datasets import VOID
from smooseg.images.demo.drawing import draw_kinds, draw_scene
from smooseg.images.demo.scenes import CLASSES, KINDS
from tests.conftest import make_store


def test_the_demo_is_one_of_the_groupings_of_its_kinds():
    (image, label), (same, kinds) = draw_scene(3, 96, 72), draw_kinds(3, 96, 72)
    assert np.array_equal(image, same)
    assert np.array_equal(label, np.array(GROUPS["six"])[kinds])
    assert len(np.unique(kinds)) > len(np.unique(label))  # this scene has kinds of one class


@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)
def test_groupings_name_a_class_for_every_kind_and_leave_none_out(groups, tmp_path):
    assert len(groups) == len(KINDS)
    assert sorted(set(groups)) == list(range(Case("", tmp_path, "", tuple(groups)).classes))


def test_labels_are_read_as_the_classes_they_stand_for_and_void_stays(tmp_path):
    make_store(tmp_path / "l.zarr", np.array([[[0, 5], [255, 9]]], np.uint8))
    read = Grouped(open_store(tmp_path / "l.zarr", {}), tuple(GROUPS["road"])).read(0, 1)
    assert read.tolist() == [[[0, 1], [255, 0]]]


def test_folders_with_labels_and_a_line_of_classes_are_sets(tmp_path):
    for name in ("fields", "unlabelled"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text("# A set\nclasses: soil, weed\n", "utf-8")
    (tmp_path / "fields" / "labels").mkdir()
    (tmp_path / "camvid").mkdir()
    found = find_datasets(tmp_path)
    assert list(found) == ["camvid", "fields"]
    assert found["fields"]["classes"] == ["soil", "weed"]
    assert "sky" in CLASSES
    assert "sky" in found["camvid"]["classes"]


def test_settings_of_a_head_follow_its_name():
    assert parse_head("kmeans") == ("kmeans", {})
    assert parse_head("smooseg_plus:partitions=0,temperature=0.1") == (
        "smooseg_plus",
        {"partitions": 0, "temperature": 0.1},
    )


def test_the_summary_averages_seeds_and_leaves_the_ceiling_out_of_ranks():
    scores = {("x", "a"): (50, 60), ("x", "b"): (40, 40), ("y", "a"): (30, 30), ("y", "b"): (70, 70)}
    scores |= {("x", "linear"): (90, 90), ("y", "linear"): (90, 90)}
    rows = [
        {"set": place, "head": head, "seed": seed, "accuracy": value, "miou": value / 2}
        for (place, head), values in scores.items()
        for seed, value in enumerate(values)
    ]
    table = summary(pd.DataFrame(rows))
    assert table.loc["x", "a"] == "55.0 / 27.5"
    assert table.loc["mean", "b"] == "55.0 / 27.5"
    assert table.loc["wins", "a"] == "1 / 1"
    assert table.loc["mean rank", "b"] == "1.50 / 1.50"
    assert table.loc["wins", "linear"] != "2 / 2"
    assert table.loc["spread, largest", "a"] == "7.1"


def test_pixels_near_a_border_are_as_many_on_either_side_and_void_has_none():
    label = np.zeros((4, 40), np.uint8)
    label[:, 20:] = 1
    label[:, 34:] = VOID
    near = near_border(label)
    assert (near == near[0]).all()
    assert np.flatnonzero(near[0]).tolist() == list(range(20 - TRIMAP, 20 + TRIMAP))
    assert not near_border(label[:, 20:]).any()
