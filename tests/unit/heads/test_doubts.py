"""Heads of few views: clusters that are crops, not contents, are doubted."""

import logging

import numpy as np
import pytest

from smooseg.heads import HEADS
from tests.conftest import clustered_features, make_store

SETTINGS = {"samples": 1000, "kmeans_batch": 64, "epochs": 20, "starts": 5, "subtract_mean": False}


def of_views(views: int, own: int) -> np.ndarray:
    """Features of which ``own`` views hold a kind that no other does, and the others three common kinds."""
    features, _ = clustered_features(views)
    centres = np.random.default_rng(5).normal(size=(own, 1, features.shape[2]))
    features[:own] = centres + 0.1 * np.random.default_rng(6).normal(size=features[:own].shape)
    return features


@pytest.mark.parametrize(("own", "clusters", "narrow"), [(0, 3, 0), (0, 2, 0), (6, 9, 6)])
def test_clusters_of_one_view_are_counted_aloud(tmp_path, caplog, own, clusters, narrow):
    caplog.set_level(logging.WARNING)
    store = make_store(tmp_path / "f.zarr", of_views(16, own))
    HEADS["kmeans"].fit(store, clusters, SETTINGS, seed=0, budget=10**9)
    expected = (
        f"9 of 9 clusters are used, and {narrow} of them have four fifths of their patches in one of the 16 views"
    )
    assert [expected in message for message in caplog.messages if "clusters are used" in message] == [True] * bool(
        narrow
    )
