"""EAGLE against golden values of its released code."""

import pytest
import torch
import torch.nn.functional as F

from smooseg.heads.eagle.eigenvectors import (
    EigenClusters,
    affinities,
    eigenvectors,
    medoids,
    object_loss,
    patch_weights,
    smallest_eigenvectors,
)
from smooseg.heads.eagle.head import EagleHead, Objects
from smooseg.heads.parts.correspondence import correspondences, normalise_at
from smooseg.heads.parts.positions import corners
from smooseg.heads.parts.probe import ClusterProbe
from tests.support.heads import settings
from tests.support.released import (
    TOLERANCE,
    assert_agrees,
    difference,
    give_partners,
    give_positions,
    golden,
    positions,
)

GRID, SAMPLES, DRAWS = (6, 6), 16, 2
SETTINGS = {  # the released ones of either data set
    "coco": {"b": 0, "same_weight": 0.25, "apart_weight": 0.63, "smoothing": 0, "weigh_patches": True},
    "city": {"b": 0.11, "same_weight": 0.18, "apart_weight": 1, "smoothing": 0.1, "weigh_patches": False},
}
COLOURS = 3e-3  # of the largest entry: what the released closeness of colours, 0.995 to 1, moves eigenvectors by


@pytest.fixture(scope="module")
def values():
    return golden("eagle")


def training(case: str) -> Objects:
    return Objects(EagleHead(24, 5, settings("eagle", dimensions=12, patches=None, samples=SAMPLES, **SETTINGS[case])))


def test_values_at_positions_are_the_released_ones(values):
    first, second, third = (corners(positions(values[f"coords{i}"]), GRID) for i in (1, 2, 3))
    for kind in ("features", "code"):
        assert_agrees(first.of(values[kind]), values[f"sampled_{kind}_1"])
        assert_agrees(second.of(values[kind]), values[f"sampled_{kind}_2"])
        assert_agrees(third.of(values[f"{kind}_aug"]), values[f"sampled_{kind}_aug_3"])


def test_closeness_and_correspondence_are_the_released_ones(values):
    first, second, third = (corners(positions(values[f"coords{i}"]), GRID) for i in (1, 2, 3))
    view, other = ((values[f"features{of}"], values[f"code{of}"]) for of in ("", "_aug"))
    closeness, correspondence = correspondences(normalise_at(third, other), normalise_at(second, view))
    assert_agrees(closeness, values["closeness_same"])
    assert_agrees(correspondence, values["correspondence_same"])
    for partner, expected in zip(values["random_partners"], values["correspondence_apart"], strict=True):
        found = correspondences(normalise_at(first, view), normalise_at(second, view, partner))[1]
        assert_agrees(found, expected)


@pytest.mark.parametrize("case", SETTINGS)
def test_losses_and_the_gradient_through_the_shift_are_the_released_ones(values, case, monkeypatch):
    monkeypatch.setattr("smooseg.heads.eagle.head.RANDOM_IMAGES", DRAWS)
    give_positions(monkeypatch, *(values[f"coords{i}"] for i in (1, 2, 3)))
    give_partners(monkeypatch, "smooseg.heads.eagle.head", values["random_partners"])
    codes = [values[key].clone().requires_grad_() for key in ("code", "code_aug")]
    both = [(values[key], code) for key, code in zip(("features", "features_aug"), codes, strict=True)]
    same, apart = training(case).correspondence(both, torch.Generator())
    loss = SETTINGS[case]["same_weight"] * same + SETTINGS[case]["apart_weight"] * apart
    assert_agrees(torch.stack([same, apart, loss]), values[f"loss_{case}"])
    loss.backward()
    assert_agrees(codes[0].grad, values[f"grad_code_{case}"])
    assert_agrees(codes[1].grad, values[f"grad_code_aug_{case}"])


def test_medoids_are_the_released_ones(values):
    rows = F.normalize(values["projections"], dim=-1).flatten(0, 1)
    present, kinds = values["objects"].flatten().unique(return_inverse=True)
    assert present.tolist() == [0, 1, 2, 4]
    assert torch.equal(medoids(rows, kinds, 4), rows[values["medoids"]])


@pytest.mark.parametrize("case", SETTINGS)
def test_the_contrast_of_objects_and_its_gradients_are_the_released_ones(values, case):
    raw = [values[key].clone().requires_grad_() for key in ("projections", "projections_aug")]
    rows = [F.normalize(of, dim=-1).flatten(0, 1) for of in raw]
    weights = patch_weights(values["features"])
    assert_agrees(weights, values["patch_weights"])
    weights = weights.flatten() if SETTINGS[case]["weigh_patches"] else weights.mean().expand(weights.numel())
    loss = object_loss(*rows, values["objects"].flatten(), weights, SETTINGS[case]["smoothing"])
    assert_agrees(loss, values[f"object_loss_{case}"])
    loss.backward()
    assert_agrees(raw[0].grad, values[f"grad_projections_{case}"])
    assert_agrees(raw[1].grad, values[f"grad_projections_aug_{case}"])


def up_to_sign(found: torch.Tensor, released: torch.Tensor) -> float:
    """Largest difference of eigenvectors, whose sign is LAPACK's."""
    return difference(found * (found * released).sum(1, keepdim=True).sign(), released)


def test_eigenvectors_are_the_released_ones(values):
    without = (affinities(values["eigen_code"].double()) - 1).float()
    for name in ("released", "pixels"):
        found = smallest_eigenvectors(without + values[f"colour_affinity_{name}"])
        assert up_to_sign(found, values[f"eigenvectors_{name}"][..., 1:]) < TOLERANCE


def test_colours_as_the_released_training_sees_them_hardly_move_eigenvectors(values):
    found = eigenvectors(values["eigen_code"])
    assert up_to_sign(found, values["eigenvectors_released"][..., 1:]) < COLOURS
    assert up_to_sign(found, values["eigenvectors_pixels"][..., 1:]) > 0.1


def test_the_clusters_of_eigenvectors_have_the_released_loss(values):
    clusters = EigenClusters(5)
    for name in ("released", "pixels"):
        clusters.centres.data.copy_(values["eigen_centres"])
        loss, kinds = clusters(values[f"eigenvectors_{name}"][..., 1:])
        (gradient,) = torch.autograd.grad(loss, clusters.centres)
        assert_agrees(loss, values[f"eigen_loss_{name}"])
        assert_agrees(gradient, values[f"eigen_grad_{name}"])
        assert_agrees(kinds, values[f"eigen_kinds_{name}"])


def test_the_probe_is_the_released_one(values):
    probe = ClusterProbe(5, 12)
    probe.centres.data.copy_(values["probe_centres"])
    loss = probe.loss(values["code"])
    loss.backward()
    assert_agrees(loss, values["probe_loss"])
    assert_agrees(probe.centres.grad, values["probe_grad"])
