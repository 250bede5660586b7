"""The closed form: smoothing against its definition, and directions against what they must maximise."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from smooseg.heads.smooseg_plus.directions import smooth_directions, smooth_patches


def test_smoothing_is_a_mean_weighted_by_closeness():
    features = F.normalize(torch.randn(3, 10, 6, generator=torch.Generator().manual_seed(0)), dim=-1)
    weights = F.softmax(features @ features.mT / 0.1, dim=-1)
    torch.testing.assert_close(smooth_patches(features, 0.1), weights @ features)


def test_identical_patches_stay_as_they_are():
    features = F.normalize(torch.ones(2, 5, 4), dim=-1)
    torch.testing.assert_close(smooth_patches(features, 0.07), features)


def test_directions_are_those_that_agree_within_images():
    rng = np.random.default_rng(0)
    signal, noise = np.diag([5.0, 1, 1, 3, 1, 1]), np.diag([1.0, 1, 1, 0.1, 1, 9])  # ratios: 5, 1, 1, 30, 1, 1/9
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    directions = turn.T @ smooth_directions(turn @ signal @ turn.T, turn @ noise @ turn.T, 2)
    assert np.argmax(np.abs(directions), axis=0).tolist() == [3, 0]  # the smoothest first


def test_directions_have_unit_smoothed_variance_each_and_none_together():
    rng = np.random.default_rng(1)
    signal, noise = (x.T @ x / len(x) for x in rng.normal(size=(2, 50, 8)))
    directions = smooth_directions(signal, noise, 3)
    np.testing.assert_allclose(directions.T @ signal @ directions, np.eye(3), atol=1e-4)
    assert directions.dtype == np.float32


@pytest.mark.parametrize("residual", [np.diag([1.0, 1, 1, 0]), np.zeros((4, 4))])
def test_directions_without_any_residual_stay_finite(residual):
    assert np.isfinite(smooth_directions(np.eye(4), residual, 2)).all()


def test_directions_that_the_features_do_not_have_are_zero():
    rows = np.random.default_rng(0).normal(size=(3, 8))
    directions = smooth_directions(rows.T @ rows, np.eye(8), 8)
    assert np.isfinite(directions).all()
    assert (np.abs(directions).max(0) > 0).tolist() == [True] * 3 + [False] * 5
