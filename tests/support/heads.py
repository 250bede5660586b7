"""Settings, features and masks that heads are trained on."""

import numpy as np
import pytest
import torch

from smooseg.evaluation.metrics import confusion_matrix, match_clusters, score
from smooseg.features.store import open_store
from smooseg.settings.schema import load_schema, validate
from tests.conftest import clustered_features, make_store

BUDGET, KINDS = 10**9, 3
QUICK = {
    "smooseg": {
        "steps": 150,
        "batch": 8,
        "dimensions": 16,
        "subtract_mean": True,
        "lr_projector": 1e-3,
        "lr_prototypes": 5e-3,
    },
    "kmeans": {"samples": 1000},
    "ppap": {
        "decoder": "projector",
        "steps": 60,
        "batch": 8,
        "dimensions": 16,
        "patches_per_anchor": 4,
        "lr_probe": 0.05,
        "subtract_mean": True,
    },
    "primaps": {"steps": 60, "start_steps": 20, "batch": 8, "subtract_mean": True, "points": None},
    "smooseg_plus": {"samples": 1000, "subtract_mean": True},
    "stego": {
        "steps": 60,
        "batch": 8,
        "dimensions": 16,
        "patches": 8,
        "lr": 1e-3,
        "samples": 1000,
        "b_within": 0.3,
        "b_neighbour": 0.3,
        "b_random": 0.5,
        "subtract_mean": True,
    },
    "eagle": {
        "steps": 80,
        "batch": 8,
        "dimensions": 16,
        "patches": 12,
        "samples": 8,
        "warmup": 20,
        "lr": 1e-3,
        "lr_probe": 0.05,
        "subtract_mean": True,
    },
    "hp": {
        "steps": 80,
        "batch": 8,
        "dimensions": 16,
        "pool": 64,
        "renew": 5,
        "warmup": 10,
        "anchors": 8,
        "lr": 1e-3,
        "lr_probe": 0.05,
        "subtract_mean": True,
    },
    "linear": {"steps": 60, "subtract_mean": False},
    "cause": {
        "steps": 120,
        "batch": 8,
        "block": 2,
        "codes": 16,
        "dimensions": 16,
        "projection": 16,
        "bank": 4,
        "subtract_mean": True,
    },
    "equss": {
        "steps": 60,
        "batch": 8,
        "dimensions": 16,
        "patches": 8,
        "lr": 1e-3,
        "lr_centres": 5e-2,
        "books": 4,
        "words": 8,
        "b_within": 0.3,
        "b_neighbour": 0.3,
        "b_random": 0.5,
        "subtract_mean": True,
    },
}
PIXELS = 2  # along a side of a patch, in the labels that the linear probe is given


def settings(name: str, **changes) -> dict:
    schema = load_schema()
    return validate(QUICK[name] | changes, schema["$defs"]["heads"][name], schema, "settings")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    features, truth = clustered_features(64, kinds=KINDS)
    path = tmp_path_factory.mktemp("heads") / "s.zarr"
    make_store(path, features)
    return open_store(path, {}), torch.from_numpy(features), truth.astype(np.uint8)


@pytest.fixture(scope="module")
def masks(data, tmp_path_factory):
    """Masks of the same views: numbers of their own in each, and half of the pixels in none."""
    side, rng = round(data[2].shape[1] ** 0.5), np.random.default_rng(0)
    numbers = rng.permuted(np.tile(np.arange(2 * KINDS, dtype=np.uint8), (len(data[2]), 1)), axis=1)
    maps = np.take_along_axis(numbers, data[2].astype(int), 1).reshape(-1, side, side)
    maps = maps.repeat(PIXELS, 1).repeat(PIXELS, 2)
    path = tmp_path_factory.mktemp("masks") / "m.zarr"
    make_store(path, np.where(rng.random(maps.shape) < 0.5, maps, np.uint8(255)), 8)
    return open_store(path, {})


def accuracy(head, features, truth):
    with torch.no_grad():
        clusters = head.logits(head.embed(features)).argmax(-1).numpy()
    confusion = confusion_matrix(clusters, truth, head.clusters, KINDS)
    return score(confusion, match_clusters(confusion)).accuracy


def plus_settings(**changes) -> dict:
    schema = load_schema()
    few = {"samples": 1000, "partitions": 12, "repeats": 2, "subtract_mean": True}
    return validate(few | changes, schema["$defs"]["heads"]["smooseg_plus"], schema, "settings")
