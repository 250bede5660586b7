"""The rehearsal of ``python -m benchmarks.scale``: a data set of many files from few, and the whole workflow on it."""

import pandas as pd
import pytest
import yaml

from benchmarks.scale import growth, make_project, measure, rehearse
from smooseg.images.datasets import open_dataset
from smooseg.settings.config import resolve
from tests.conftest import write_images

IMAGES = 100


@pytest.fixture
def photographs(tmp_path):
    """A few labelled pictures in the folder layout."""
    for split, number in ("train", 7), ("val", 2):
        write_images(tmp_path / "photographs", split, number)
    return tmp_path / "photographs"


def test_images_are_links_of_a_few_in_the_layout_of_cocostuff(tmp_path, photographs):
    folder = tmp_path / "project"
    folder.mkdir()
    make_project(folder, IMAGES, photographs)
    config = resolve(yaml.safe_load((folder / "config.yaml").read_text("utf-8")))
    dataset = open_dataset(config["datasets"]["coco"] | {"root": str(folder / "coco")})
    assert [len(dataset.entries(split)) for split in ("train", "val")] == [IMAGES, 2]
    assert dataset.find_unlabelled("train") == dataset.find_unlabelled("val") == []
    files = {(dataset.root / entry.image).stat().st_ino for entry in dataset.entries("train")}
    assert len(files) == 7
    assert (dataset.read_label(dataset.root / dataset.entries("val")[1].label) < 27).any()
    before = (folder / "config.yaml").stat().st_mtime_ns
    make_project(folder, IMAGES, photographs)
    assert (folder / "config.yaml").stat().st_mtime_ns == before


def test_growth_is_in_proportion_to_the_data_and_skips_what_one_size_lacks():
    small, large = (
        pd.DataFrame(
            {"cpu_s": [1.0, s], "memory_mb": [100.0, 150.0], "files": [None, files]}, index=["start", "extract"]
        )
        for s, files in ((10, 30), (100, 600))
    )
    rows = {row["metric"]: row["ratio"] for row in growth(small, large, 10)}
    assert rows == {
        "start (s of CPU time)": pytest.approx(0.1),
        "extract (s of CPU time)": pytest.approx(1),
        "start (MB)": pytest.approx(0.1),
        "extract (MB)": pytest.approx(0.1),
        "extract (files and folders)": pytest.approx(2),
    }


@pytest.mark.slow
def test_the_rehearsal_runs_every_stage_and_is_kept(tmp_path, photographs, capsys):
    assert rehearse(tmp_path / "runs", [IMAGES], photographs, []) == []  # there is no other size to compare with
    found = measure(tmp_path / "runs" / str(IMAGES), IMAGES, photographs, [])  # read, not run
    assert f"{IMAGES} training images" in capsys.readouterr().out
    stages = ["index_views", "extract_features", "train_head", "read_labels", "predict_labels", "make_tables"]
    assert (found.loc[stages, ["cpu_s", "memory_mb"]] > 0).all(axis=None)
    assert found.loc["extract_features", "amount"] == 5 * IMAGES + 2 * 2
    chunks = 32 + 1  # of 500 views, and of 4
    assert found.loc["extract_features", "files"] == chunks + 2 * len(("zarr.json", "plan", "complete", "folder")) + 3
    assert len(pd.read_csv(tmp_path / "runs" / str(IMAGES) / "results" / "tables" / "summary.csv")) == 3
