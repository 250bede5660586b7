"""Every head on demo scenes, from pixels to scores: better than chance, with features of an untrained network."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from smooseg.evaluation.metrics import match_clusters, score
from smooseg.evaluation.prediction import predict_labels
from smooseg.evaluation.proposals import propose_masks
from smooseg.evaluation.scoring import read_labels, score_labels
from smooseg.features.backbones import Backbone
from smooseg.features.store import open_store
from smooseg.heads import HEADS, save_head
from smooseg.images.datasets import open_dataset
from smooseg.images.demo.drawing import write_splits
from smooseg.images.demo.scenes import CLASSES
from smooseg.images.imaging import read_views
from smooseg.images.indexing import index_views
from smooseg.images.manifests import manifest_sha256
from smooseg.running import device
from smooseg.settings.heads import SUPERVISED
from tests.conftest import TINY_MODEL, make_store
from tests.support.evaluation import crf_settings
from tests.support.heads import settings

SIZE = 128
QUICK = {
    "cause": {"steps": 120, "codes": 64, "block": 2, "batch": 8},
    "eagle": {"steps": 60, "batch": 8, "patches": 32, "samples": 32, "dimensions": 32, "warmup": 20},
    "equss": {"steps": 60, "batch": 8, "dimensions": 64, "books": 8, "words": 16, "patches": 32},
    "hp": {"steps": 60, "batch": 8, "dimensions": 32, "pool": 64, "renew": 20, "warmup": 20},
    "kmeans": {"subtract_mean": True},
    "linear": {"steps": 200, "subtract_mean": True},
    "ppap": {"decoder": "projector", "steps": 60, "batch": 8},
    "primaps": {"steps": 100, "start_steps": 40, "batch": 8, "subtract_mean": True},
    "smooseg": {"steps": 200},
    "smooseg_plus": {},
    "stego": {"steps": 100},
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory, tiny_checkpoint):
    """Stores of features and labels of both splits, and of masks."""
    folder = tmp_path_factory.mktemp("demo")
    write_splits(folder / "data", {"train": 24, "val": 8, "width": 160, "height": 128, "seed": 0}, 2)
    dataset = open_dataset({"root": folder / "data", "layout": "folder", "classes": CLASSES, "void": 255})
    model = Backbone(TINY_MODEL, 1, False, "float32").load(tiny_checkpoint).prepare(SIZE, torch.device("cpu"))
    for split in ("train", "val"):
        manifest = index_views(dataset, split, "whole", SIZE, evaluation=split == "val", workers=1)
        listed = folder / f"{split}.parquet"
        manifest.to_parquet(listed)
        features = model(torch.from_numpy(read_views(dataset.root, manifest, SIZE, "nearest"))).numpy()
        facts = {"size": SIZE, "resample": "nearest", "manifest_sha256": manifest_sha256(manifest)}
        store = make_store(folder / f"{split}.zarr", features, **facts)
        read_labels(listed, dataset, split, folder / f"{split}.zarr", folder / f"{split}-labels.zarr", code="")
        if split == "train":
            masks = {"threshold": 0.4, "covered": 0.95, "ends": "positive", "subtract_mean": True}
            propose_masks(store, folder / "masks.zarr", "", listed, dataset.root, masks, crf_settings("auto"))
    return folder


def fitted(demo: Path, name: str):
    """A head trained on the scenes."""
    train, labels, masks = (open_store(demo / f"{store}.zarr", {}) for store in ("train", "train-labels", "masks"))
    inputs = {"linear": {"labels": labels}, "ppap": {"weights": None}, "primaps": {"proposals": masks}}.get(name, {})
    return HEADS[name].fit(train, len(CLASSES), settings(name, **QUICK[name]), seed=0, budget=10**9, **inputs)[0]


class Draws(TorchFunctionMode):
    """Notes draws of some generators that are not asked for on the generator's own device, as a GPU's must be."""

    def __init__(self, generators: list[torch.Generator]):
        super().__init__()
        self.generators, self.made, self.elsewhere = generators, 0, []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if any(kwargs.get("generator") is ours for ours in self.generators):
            self.made += 1
            if kwargs.get("device") != kwargs["generator"].device:
                self.elsewhere.append(function)
        return function(*args, **kwargs)


@pytest.mark.parametrize("name", ["smooseg", "stego", "hp", "eagle", "cause", "equss", "ppap"])
def test_a_training_draws_where_it_computes(demo, name, monkeypatch):
    generators, seeded = list[torch.Generator](), device.make_generator
    module = sys.modules["smooseg.heads.parts.distilled" if name in ("stego", "equss") else HEADS[name].__module__]
    monkeypatch.setattr(module, "make_generator", lambda *of: generators.append(seeded(*of)) or generators[-1])
    with Draws(generators) as draws:
        fitted(demo, name)
    assert draws.made and not draws.elsewhere


@pytest.mark.parametrize("name", HEADS)
def test_a_head_beats_chance(demo, name):
    val, labels = (open_store(demo / f"{store}.zarr", {}) for store in ("val", "val-labels"))
    head = fitted(demo, name)
    save_head(head, name, {}, demo / f"{name}.safetensors")
    predict_labels(val, demo / f"{name}.safetensors", demo / f"{name}.zarr", code="")
    maps, matched = open_store(demo / f"{name}.zarr", {}), name not in SUPERVISED
    scores = score_labels(maps, labels, len(CLASSES), CLASSES, matched=matched)
    shares = np.sum(scores["confusion"], axis=0) / np.sum(scores["confusion"])
    guesses = np.outer(np.full(len(CLASSES), 1000 / len(CLASSES)), shares).round().astype(int)  # of blind guessing
    chance = score(guesses, match_clusters(guesses)).accuracy
    assert scores["accuracy"] > 1.5 * chance
