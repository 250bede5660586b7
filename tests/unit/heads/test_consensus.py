"""The consensus: what is merged and when, what random partitions agree on, and the discriminant of it."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import adjusted_rand_score

from smooseg.heads.smooseg_plus import consensus as module
from smooseg.heads.smooseg_plus.consensus import consensus, discriminant, merge, most_typical, refined, whitened

SETTINGS = {"partitions": 12, "finest": 2, "exponent": 0.5}


def blobs(sizes: list[int], dimensions: int = 8, spread: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Patches around well separated centres, float32, and the centre of each."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    return (np.eye(dimensions)[truth] + spread * rng.normal(size=(len(truth), dimensions))).astype(np.float32), truth


def test_wards_criterion_merges_the_small_and_a_lower_exponent_the_close():
    sizes = np.array([0.49, 0.49, 0.01, 0.01])
    profiles = np.array([[0.0, 0], [1, 0], [0, 5], [2, 5]])  # two large ones close by, two small ones farther apart
    assert merge(sizes, profiles, 3, 1.0).tolist() == [0, 1, 2, 2]
    assert merge(sizes, profiles, 3, 0.0).tolist() == [0, 0, 1, 2]


def test_merged_groups_lie_at_the_mean_of_their_patches():
    sizes, profiles = np.array([0.5, 0.1, 0.2, 0.2]), np.array([[0.0], [1], [3.5], [9]])
    assert merge(sizes, profiles, 2, 0.0).tolist() == [0, 0, 0, 1]  # 0 and 1 lie at 1/6 together, then 3.5 joins


def test_no_fewer_clusters_than_groups_are_made():
    assert merge(np.ones(3) / 3, np.eye(3), 5, 0.5).tolist() == [0, 1, 2]


def test_clusters_of_very_unequal_size_are_found():
    patches, truth = blobs([700, 200, 100])
    labels, parted = consensus(patches, np.ones(8, np.float32), 3, SETTINGS, np.random.default_rng(0))
    assert adjusted_rand_score(truth, labels) > 0.99
    assert parted > 0.2  # by partitions of more clusters than there are


def test_partitions_that_agree_part_no_pair(monkeypatch):
    monkeypatch.setattr(module, "LEAST", 2)
    patches, truth = blobs([300, 300])
    labels, parted = consensus(patches, np.ones(8, np.float32), 2, SETTINGS | {"finest": 1}, np.random.default_rng(0))
    assert adjusted_rand_score(truth, labels) == 1
    assert parted == pytest.approx(0, abs=1e-6)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize("patches", [np.ones((50, 4), np.float32), np.zeros((3, 4), np.float32)])
def test_patches_without_any_difference_are_one_cluster(patches):
    labels, _ = consensus(patches, np.ones(4, np.float32), 2, SETTINGS, np.random.default_rng(0))
    assert set(labels) == {0}
    weights, bias = discriminant(patches, labels, 2)
    assert np.isfinite(weights).all()
    assert ((patches @ weights.T + bias).argmax(1) == 0).all()


def test_whitening_goes_from_the_residuals_scale_to_none():
    sample, spread = np.array([[3.0, 4.0]], np.float32), np.array([0.5, 2.0], np.float32)
    np.testing.assert_allclose(whitened(sample, spread, 2, 1), [[0.6, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(whitened(sample, spread, 2, 0), [[6 / 40**0.5, 2 / 40**0.5]], rtol=1e-6)


def test_the_discriminant_decides_as_that_of_scikit_learn():
    patches, truth = blobs([300, 80, 20], spread=0.5)
    reference = LinearDiscriminantAnalysis(solver="lsqr").fit(patches, truth)
    weights, bias = discriminant(patches, truth, 3)
    found = (patches @ weights.T + bias).argmax(1)
    assert (found == reference.predict(patches)).mean() > 0.99  # which does not shrink the covariance
    assert 0.5 < np.linalg.norm(weights - weights.mean(0), axis=1).mean() < 1.5


def test_relabelling_repairs_what_was_labelled_wrong():
    patches, truth = blobs([300, 300])
    wrong = np.where(np.arange(600) % 10 == 0, 1 - truth, truth)
    assert (refined(patches, wrong, 2, 0)[0] == wrong).all()
    assert (refined(patches, wrong, 2, 1)[0] == truth).all()


def test_the_most_typical_labeling_is_like_the_others_under_any_names():
    like, odd = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, 1])
    assert most_typical([odd, like, 2 - like, np.array([0, 0, 1, 1, 2, 1])]) == 1


def test_a_cluster_without_patches_is_never_chosen():
    patches, truth = blobs([50, 50])
    weights, bias = discriminant(patches, 2 * truth, 3)
    everywhere = np.random.default_rng(1).normal(size=(1000, 8)).astype(np.float32)
    assert 1 not in (everywhere @ weights.T + bias).argmax(1)
