"""Filling a store: right features, resumable, byte-identical, and never a NaN."""

import numpy as np
import pandas as pd
import pytest
import torch

from smooseg import extraction
from smooseg.backbones import Backbone
from smooseg.datasets import open_dataset
from smooseg.errors import SmoosegError
from smooseg.imaging import read_views
from smooseg.views import index_views
from tests.conftest import TINY_MODEL, write_images

NEEDS = {"model": TINY_MODEL, "block": 3, "norm": False, "resample": "nearest", "precision": "float32"}


@pytest.fixture
def views(tmp_path) -> tuple[pd.DataFrame, dict]:
    """Manifest of 50 views, and the arguments of an extraction."""
    write_images(tmp_path / "data", "train", 10)
    dataset = open_dataset({"root": tmp_path / "data", "layout": "folder", "classes": ["a", "b"], "void": 255})
    manifest = index_views(dataset, "train", "five", 30, evaluation=False, workers=2)
    return manifest, {"root": dataset.root, "needs": NEEDS, "code": "1", "batch": 16, "workers": 2}


def files(path):
    return {f.relative_to(path).as_posix(): f.read_bytes() for f in path.rglob("*") if f.is_file()}


def test_the_store_holds_the_backbones_features(views, tiny_checkpoint, tmp_path):
    manifest, arguments = views
    store = extraction.extract_features(manifest, weights=tiny_checkpoint, path=tmp_path / "s.zarr", **arguments)
    assert store.shape == (50, 4, 64)
    assert store.provenance["size"] == 32
    model = Backbone(TINY_MODEL, 3, False, "float32").load(tiny_checkpoint).prepare(32, torch.device("cpu"))
    pixels = torch.from_numpy(read_views(arguments["root"], manifest, 32, "nearest"))
    np.testing.assert_allclose(store.read(0, 50), model(pixels), atol=4e-3, rtol=4e-3)


def test_an_interrupted_extraction_resumes_to_the_same_bytes(views, tiny_checkpoint, tmp_path, monkeypatch):
    manifest, arguments = views
    whole, broken = tmp_path / "whole.zarr", tmp_path / "broken.zarr"
    extraction.extract_features(manifest, weights=tiny_checkpoint, path=whole, **arguments)
    write = extraction.write_block

    def fail_at_the_third(store, start, *rest):
        if start == 32:
            raise OSError(28, "No space left on device")
        write(store, start, *rest)

    monkeypatch.setattr(extraction, "write_block", fail_at_the_third)
    with pytest.raises(OSError, match="No space"):
        extraction.extract_features(manifest, weights=tiny_checkpoint, path=broken, **arguments)
    done = []
    monkeypatch.setattr(extraction, "write_block", lambda s, start, *r: (done.append(start), write(s, start, *r)))
    extraction.extract_features(manifest, weights=tiny_checkpoint, path=broken, **arguments)
    assert done == [32, 48]
    assert files(broken) == files(whole)


def test_other_code_starts_anew(views, tiny_checkpoint, tmp_path, monkeypatch):
    manifest, arguments = views
    extraction.extract_features(manifest, weights=tiny_checkpoint, path=tmp_path / "s.zarr", **arguments)
    done = []
    write = extraction.write_block
    monkeypatch.setattr(extraction, "write_block", lambda s, start, *r: (done.append(start), write(s, start, *r)))
    arguments["code"] = "2"
    extraction.extract_features(manifest, weights=tiny_checkpoint, path=tmp_path / "s.zarr", **arguments)
    assert done == [0, 16, 32, 48]


def test_nan_features_name_the_image(views, tiny_checkpoint, tmp_path, monkeypatch):
    manifest, arguments = views

    def forward(self, pixels):
        features = torch.zeros(len(pixels), 4, 64, dtype=torch.float16)
        features[3] = float("nan")
        return features

    monkeypatch.setattr(Backbone, "forward", forward)
    with pytest.raises(SmoosegError, match=r"images/train/000\.png: the backbone gave NaN"):
        extraction.extract_features(manifest, weights=tiny_checkpoint, path=tmp_path / "s.zarr", **arguments)
    assert not (tmp_path / "s.zarr" / "complete.json").exists()
