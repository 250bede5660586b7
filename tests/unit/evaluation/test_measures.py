"""Measures without labels, on heads whose behaviour is known."""

import numpy as np
import pytest
import torch

from smooseg.evaluation.measures import bimodality, measure_head, penalty
from smooseg.features.store import open_store
from tests.conftest import make_store
from tests.support.evaluation import Given

SIDE, KINDS = 4, 4


def measured(tmp_path, clusters):
    """Measures of a head that gives each patch the cluster in ``clusters`` (views, side, side)."""
    make_store(tmp_path / "s.zarr", np.eye(KINDS, dtype=np.float16)[clusters.reshape(len(clusters), -1)])
    return measure_head(Given(KINDS, KINDS, {}), open_store(tmp_path / "s.zarr", {}))


def test_one_cluster_everywhere_is_smooth_and_agrees(tmp_path):
    measures = measured(tmp_path, np.zeros((36, SIDE, SIDE), int))
    assert (measures["cluster_entropy"], measures["mirror_agreement"]) == (0, 1)
    assert measures["bimodality_within"] == pytest.approx(0, abs=1e-6)


def test_halves_of_two_clusters_are_bimodal(tmp_path):
    views = np.tile(np.array([0, 0, 1, 1]), (36, SIDE, 1)) + 2 * (np.arange(36) // 2 % 2)[:, None, None]
    views[1::2] = views[1::2, :, ::-1]
    measures = measured(tmp_path, views)
    assert (measures["cluster_entropy"], measures["mirror_agreement"]) == (pytest.approx(1), 1)
    assert measures["bimodality_within"] == pytest.approx(1, abs=1e-3)
    assert measures["bimodality_across"] < 0.1  # neighbouring images share no cluster, but for the first with itself


def test_a_mirror_image_of_other_clusters_disagrees(tmp_path):
    views = np.tile(np.array([0, 0, 1, 1]), (36, SIDE, 1))
    assert measured(tmp_path, views)["mirror_agreement"] == 0


def test_penalty_and_bimodality_are_their_definitions():
    first, second = torch.eye(2)[None], torch.tensor([[[1.0, 0.0], [0.6, 0.8]]])
    assert penalty(first, second)[0].tolist() == [[0, pytest.approx(0.4)], [1, pytest.approx(0.2)]]
    assert bimodality(torch.tensor([0.0, 1.0])) == 1
    assert bimodality(torch.tensor([0.3, 0.3])) == 0
