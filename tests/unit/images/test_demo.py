"""Procedural scenes: exact, repeatable, varied."""

import numpy as np

from smooseg.images.demo.drawing import draw_kinds, draw_scene, write_splits
from smooseg.images.demo.scenes import CLASSES, SKY, Scene


def test_the_seed_fixes_a_scene():
    first, again, other = (draw_scene(seed, 120, 90) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).mean() > 0.5


def test_scenes_show_every_class_and_always_sky_above():
    labels = np.stack([draw_scene(seed, 120, 90)[1] for seed in range(12)])
    assert set(np.unique(labels)) == set(range(len(CLASSES)))
    assert (labels[:, 0] == SKY).mean() > 0.7
    assert np.bincount(labels.ravel()).max() < 0.6 * labels.size


def test_splits_share_no_scene_whatever_the_number_of_workers(tmp_path):
    generate = {"train": 3, "val": 2, "width": 80, "height": 64, "seed": 1}
    for workers in (1, 2):
        write_splits(tmp_path / str(workers), generate, workers)
    names = {split: [p.name for p in (tmp_path / "1/images" / split).iterdir()] for split in ("train", "val")}
    assert (len(names["train"]), len(names["val"])) == (3, 2)
    assert not set(names["train"]) & set(names["val"])
    for path in (tmp_path / "1").rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "2" / path.relative_to(tmp_path / "1")).read_bytes()


def test_things_drawn_in_a_part_of_the_canvas_lack_nothing_of_what_the_whole_canvas_shows(monkeypatch):
    parts, window = [draw_kinds(seed, 120, 90) for seed in range(20)], Scene.window

    def whole(scene, left, right, top, bottom):
        return window(scene, 0, scene.width, scene.horizon if top == scene.horizon else 0, scene.height)

    monkeypatch.setattr(Scene, "window", whole)
    for seed, part in enumerate(parts):
        assert all(map(np.array_equal, part, draw_kinds(seed, 120, 90)))
