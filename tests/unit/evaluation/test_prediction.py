"""Label maps from a head, with and without the CRF, and their scores."""

import shutil

import numpy as np
import pandas as pd
import pytest

from smooseg.errors import SmoosegError
from smooseg.evaluation.prediction import predict_labels, refine_labels, require_same_precision
from smooseg.evaluation.scoring import read_labels, score_labels
from smooseg.features.store import open_store
from smooseg.heads import save_head
from smooseg.heads.kmeans import KMeansHead
from tests.conftest import make_store
from tests.support.evaluation import INSTALLED, SIZE, crf_settings, make_case


@pytest.fixture
def case(tmp_path):
    return make_case(tmp_path, 11)


def test_from_features_to_scores(case):
    folder, dataset, manifest = case
    features = open_store(folder / "f.zarr", {})
    read_labels(manifest, dataset, "val", folder / "f.zarr", folder / "labels.zarr", code="1")
    predict_labels(features, folder / "head.safetensors", folder / "raw.zarr", code="1")
    refined = []
    for engine, workers, name in [
        (engine, workers, f"{engine}{workers}") for engine in INSTALLED for workers in (1, 2)
    ]:
        made = (folder / "head.safetensors", folder / f"{name}.zarr", "1", manifest, dataset.root, crf_settings(engine))
        refine_labels(features, *made, workers=workers)
        refined.append(open_store(folder / f"{name}.zarr", {}).read(0, 11))
    labels, raw, crf = (open_store(folder / f"{name}.zarr", {}) for name in ("labels", "raw", "native1"))
    assert labels.shape == raw.shape == (11, SIZE, SIZE)
    assert all((maps == refined[0]).all() for maps in refined)
    scores = [score_labels(maps, labels, 2, dataset.classes, matched=True) for maps in (raw, crf)]
    assert scores[0]["accuracy"] > 85
    assert scores[1]["accuracy"] > scores[0]["accuracy"]
    assert np.sum(scores[0]["confusion"]) == (labels.read(0, 11) != 255).sum()
    assert len(scores[0]["image_accuracy"]) == 11
    assert list(scores[0]["iou"]) == ["sky", "ground"]
    assert scores[0]["released_accuracy"] is scores[0]["released_miou"] is None  # as ours
    extra, merged = (score_labels(raw, labels, 3, dataset.classes, matched=True, groups=g) for g in (None, [0, 1, 1]))
    assert (extra["released_accuracy"], extra["released_miou"]) == (extra["accuracy"], extra["miou"])
    assert merged["released_accuracy"] is merged["released_miou"] is None


def test_the_crf_gets_logits_as_sharp_as_the_heads_class_says(case, monkeypatch):
    folder, dataset, manifest = case
    features, maps = open_store(folder / "f.zarr", {}), {}
    predict_labels(features, folder / "head.safetensors", folder / "raw.zarr", code="1")
    raw = open_store(folder / "raw.zarr", {}).read(0, 11)
    for sharpness in (2.0, 1e5):  # the second leaves no doubt for the CRF to settle
        monkeypatch.setattr(KMeansHead, "sharpness", sharpness)
        path = folder / f"{sharpness}.zarr"
        refine_labels(features, folder / "head.safetensors", path, "1", manifest, dataset.root, crf_settings())
        maps[sharpness] = open_store(path, {}).read(0, 11)
    assert (maps[1e5] != raw).mean() < 0.002 < (maps[2.0] != raw).mean()


def test_every_bad_label_is_named(case):
    folder, dataset, manifest = case
    (dataset.root / "labels/val/003.png").write_bytes(b"")
    (dataset.root / "labels/val/007.png").write_bytes(b"no png")
    with pytest.raises(SmoosegError, match=r"003\.png.*007\.png"):
        read_labels(manifest, dataset, "val", folder / "f.zarr", folder / "labels.zarr", code="1")
    assert not (folder / "labels.zarr" / "complete.json").exists()
    shutil.rmtree(dataset.root / "labels")
    with pytest.raises(SmoosegError, match="These images have no label"):
        read_labels(manifest, dataset, "val", folder / "f.zarr", folder / "labels.zarr", code="1")


def test_labels_of_another_manifest_are_refused(case):
    folder, dataset, manifest = case
    other = folder / "others.parquet"
    pd.concat([pd.read_parquet(manifest)] * 2).to_parquet(other)
    with pytest.raises(SmoosegError, match="made with manifest_sha256"):
        read_labels(other, dataset, "val", folder / "f.zarr", folder / "labels.zarr", code="1")


def test_blocks_that_an_earlier_run_wrote_are_kept(case):
    folder, _, _ = case
    made = open_store(folder / "f.zarr", {}), folder / "head.safetensors", folder / "raw.zarr"
    predict_labels(*made, code="1")
    kept, lost = sorted((folder / "raw.zarr").glob("c.*"))
    times, content = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    (folder / "raw.zarr" / "complete.json").unlink()
    predict_labels(*made, code="1")
    assert (kept.stat().st_mtime_ns, lost.read_bytes()) == (times, content)


def test_features_in_another_precision_than_the_heads_are_refused(tmp_path):
    store = make_store(tmp_path / "s.zarr", np.zeros((2, 4, 8), np.float16), precision="float32")
    heads = {name: tmp_path / f"{name}.safetensors" for name in ("float32", "bfloat16")}
    for precision, path in heads.items():
        save_head(KMeansHead(8, 2, {}), "kmeans", {"features": {"precision": precision}}, path)
    require_same_precision(store, heads["float32"])
    with pytest.raises(SmoosegError, match=r"made in float32, .* in bfloat16; set extract\.precision to one of them"):
        require_same_precision(store, heads["bfloat16"])
