"""Scores of the states that a training went through."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from smooseg.evaluation.metrics import Scores
from smooseg.evaluation.states import pixel_scores, score_states
from smooseg.features.store import open_store
from smooseg.heads import HEADS, save_head
from tests.conftest import make_store

SETTINGS = {"samples": 1000, "kmeans_batch": 10, "epochs": 1, "starts": 1, "subtract_mean": False}


@pytest.fixture
def case(tmp_path):
    """Two images of four patches each and their mirror images: the left half of class 0, the right of class 1."""
    view = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.float16)
    mirrored = view[[1, 0, 3, 2]]
    make_store(tmp_path / "f.zarr", np.stack([view, mirrored] * 2))
    label = np.array([[0, 0, 1, 1]] * 4, np.uint8)
    make_store(tmp_path / "l.zarr", np.stack([label, label]), chunk=8)
    head = HEADS["kmeans"](2, 2, SETTINGS)
    return head, open_store(tmp_path / "f.zarr", {}), open_store(tmp_path / "l.zarr", {})


def test_states_are_scored_in_the_order_of_their_steps_and_those_without_clusters_are_not(case, tmp_path):
    head, features, labels = case
    states = tmp_path / "states"
    states.mkdir()
    for step, centroids in ((9, [[1, 0], [0.9, 0.1]]), (10, [[1, 0], [0, 1]]), (2, [[0, 0], [0, 0]])):
        head.centroids.copy_(torch.tensor(centroids))
        save_file(head.state_dict(), states / f"{step}.safetensors")
    save_head(head, "kmeans", {}, tmp_path / "head.safetensors")
    found = score_states(tmp_path / "head.safetensors", states, features, labels, 2)
    assert found["step"].tolist() == [9, 10]
    assert found["accuracy"].iloc[1] == found["miou"].iloc[1] == 100
    assert found["accuracy"].iloc[0] < 100


def test_pixels_of_clusters_beyond_the_classes_count_as_wrong(case):
    _, features, labels = case
    head = HEADS["kmeans"](2, 3, SETTINGS)
    head.centroids.copy_(torch.tensor([[1, 0], [0.9487, 0.3162], [0, 1]]))  # the second takes one column of four
    found = pixel_scores(head, features, labels, 2)
    assert isinstance(found, Scores)
    assert found.accuracy == 75
