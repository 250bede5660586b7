"""The consensus: what is merged and when, what random partitions agree on, and the discriminant of it."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import adjusted_rand_score

from smooseg.heads.smooseg_plus import consensus as module
from smooseg.heads.smooseg_plus.consensus import (
    cut,
    grow_tree,
    merge,
    profiles_of,
    random_partitions,
    shares,
    squared_distances,
    whiten,
)
from smooseg.heads.smooseg_plus.discriminant import discriminant

ONE = np.array([4]), np.array([1])  # all partitions are into four clusters


def blobs(sizes: list[int], dimensions: int = 8, spread: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Patches around well separated centres, float32, and the centre of each."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    return (np.eye(dimensions)[truth] + spread * rng.normal(size=(len(truth), dimensions))).astype(np.float32), truth


def test_wards_criterion_merges_the_small_and_a_lower_exponent_the_close(monkeypatch):
    sizes = np.array([0.49, 0.49, 0.01, 0.01])
    profiles = np.array([[0.0, 0], [1, 0], [0, 5], [2, 5]])  # two large ones close by, two small ones farther apart
    for exponent, first in ((1.0, [2, 3]), (0.0, [0, 1])):
        monkeypatch.setattr(module, "EXPONENT", exponent)
        assert merge(sizes, [profiles], *ONE)[0][0].tolist() == first


def test_merged_groups_lie_at_the_mean_of_their_patches(monkeypatch):
    monkeypatch.setattr(module, "EXPONENT", 0.0)
    sizes, profiles = np.array([0.5, 0.1, 0.2, 0.2]), np.array([[0.0], [1], [3.5], [9]])
    steps, heights = merge(sizes, [profiles], *ONE)
    assert steps.tolist() == [[0, 1], [0, 2], [0, 3]]
    middles = [0, 1 / 6, (0.1 + 0.7) / 0.8]  # of 0; of 0 and 1; of 0, 1 and 2
    np.testing.assert_allclose(heights, (np.array([1, 3.5, 9]) - middles) ** 2)
    assert cut(steps, 2).tolist() == [0, 0, 0, 1]


def test_coarse_partitions_decide_coarse_merges_and_fine_ones_fine():
    """Eight groups on a cube, of which a fine partition tells all but neighbours along the first axis apart."""
    cube = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    fine, coarse = cube * [1, 9, 9], cube * [9, 9, 1]
    steps, _ = merge(np.full(8, 1 / 8), [coarse, fine], np.array([2, 12]), np.array([1, 1]))
    assert {tuple(step) for step in steps[:4].tolist()} == {(0, 4), (1, 5), (2, 6), (3, 7)}  # along the first
    assert {tuple(step) for step in steps[4:6].tolist()} == {(0, 1), (2, 3)}  # along the last
    assert shares(np.array([2, 12]), np.array([1, 1]), 7)[1] > 0.9
    assert shares(np.array([2, 12]), np.array([1, 1]), 2)[0] > 0.9
    assert shares(np.array([2, 12]), np.array([5, 1]), 4).sum() == pytest.approx(1)


def test_partitions_have_numbers_of_clusters_of_the_whole_range():
    patches, _ = blobs([300, 300])
    asked = sorted(n for n, _ in random_partitions(patches, np.ones(8, np.float32), 12, 24, np.random.default_rng(0)))
    assert asked[0] == 2
    assert asked[-1] > 18
    assert np.median(asked) < 10  # log-uniform


def test_profiles_distances_are_means_over_partitions_of_a_number():
    groups, counts = np.array([0, 0, 1, 1]), np.array([2, 2])
    parts = [(2, np.array([0, 0, 1, 1])), (2, np.array([0, 1, 0, 1])), (3, np.array([0, 0, 0, 1]))]
    first, second = profiles_of(groups, counts, parts)
    assert squared_distances(first)[0, 1] == pytest.approx((2 + 0) / 2)
    assert squared_distances(second)[0, 1] == pytest.approx(0.5)


def test_clusters_of_very_unequal_size_are_found():
    patches, truth = blobs([700, 200, 100])
    labels, steps, heights = grow_tree(patches, np.ones(8, np.float32), 18, 12, np.random.default_rng(0))
    assert len(np.unique(labels)) == 12
    assert len(steps) == len(heights) == 11
    assert adjusted_rand_score(truth, cut(steps, 3)[labels]) > 0.99


@pytest.mark.filterwarnings("error:Number of distinct clusters")
@pytest.mark.parametrize("patches", [np.ones((50, 4), np.float32), np.zeros((3, 4), np.float32)])
def test_patches_without_any_difference_are_one_cluster(patches):
    labels, steps, _ = grow_tree(patches, np.ones(4, np.float32), 6, 12, np.random.default_rng(0))
    assert set(labels) == {0}
    assert steps.shape == (0, 2)
    weights, bias = discriminant(patches, labels, 2)
    assert np.isfinite(weights).all()
    assert ((patches @ weights.T + bias).argmax(1) == 0).all()


def test_whitening_goes_from_the_residuals_scale_to_none():
    sample, spread = np.array([[3.0, 4.0]], np.float32), np.array([0.5, 2.0], np.float32)
    np.testing.assert_allclose(whiten(sample, spread, 2, 1), [[0.6, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(whiten(sample, spread, 2, 0), [[6 / 40**0.5, 2 / 40**0.5]], rtol=1e-6)


def test_the_discriminant_decides_as_that_of_scikit_learn():
    patches, truth = blobs([300, 80, 20], spread=0.5)
    reference = LinearDiscriminantAnalysis(solver="lsqr").fit(patches, truth)
    weights, bias = discriminant(patches, truth, 3)
    found = (patches @ weights.T + bias).argmax(1)
    assert (found == reference.predict(patches)).mean() > 0.99  # which does not shrink the covariance
    assert 0.5 < np.linalg.norm(weights - weights.mean(0), axis=1).mean() < 1.5


def test_a_cluster_without_patches_is_never_chosen():
    patches, truth = blobs([50, 50])
    weights, bias = discriminant(patches, 2 * truth, 3)
    everywhere = np.random.default_rng(1).normal(size=(1000, 8)).astype(np.float32)
    assert 1 not in (everywhere @ weights.T + bias).argmax(1)
