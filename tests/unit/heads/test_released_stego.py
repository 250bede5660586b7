"""STEGO against golden values of its released code: from features and codes at given positions to gradients."""

import pytest
import torch
import torch.nn.functional as F

from smooseg.heads.parts.correspondence import correspondences, normalise_at
from smooseg.heads.parts.positions import corners
from smooseg.heads.parts.probe import ClusterProbe
from smooseg.heads.stego import StegoHead
from tests.support.heads import settings
from tests.support.released import PARTS, assert_agrees, give_partners, give_positions, golden, positions

GRID, SAMPLES = (6, 6), 16


@pytest.fixture(scope="module")
def values():
    return golden("stego")


def test_values_at_positions_are_the_released_ones(values):
    first, second = (corners(positions(values[key]), GRID) for key in ("coords1", "coords2"))
    for kind in ("features", "code"):
        assert_agrees(first.of(values[kind]), values[f"sampled_{kind}"])
        assert_agrees(second.of(values[f"{kind}_neighbour"]), values[f"sampled_{kind}_neighbour"])
    apart = second.of(values["features"], values["random_partners"])
    assert_agrees(apart, values["sampled_features_random"])


def test_closeness_and_correspondence_are_the_released_ones(values):
    first, second = (corners(positions(values[key]), GRID) for key in ("coords1", "coords2"))
    views, neighbours = ((values[f"features{of}"], values[f"code{of}"]) for of in ("", "_neighbour"))
    anchors, apart = (
        normalise_at(first, views),
        [normalise_at(second, views, partner) for partner in values["random_partners"]],
    )
    others = {
        "within": anchors,
        "neighbour": normalise_at(second, neighbours),
        "random0": apart[0],
        "random1": apart[1],
    }
    for name, other in others.items():
        closeness, correspondence = correspondences(anchors, other)
        assert_agrees(closeness, values[f"closeness_{name}"])
        if f"correspondence_{name}" in values:
            assert_agrees(correspondence, values[f"correspondence_{name}"])


@pytest.mark.parametrize("case", ["a", "b"])
def test_losses_and_gradients_are_the_released_ones(values, case, monkeypatch):
    shifts = {f"b_{name}": b.item() for name, b in zip(PARTS, values[f"shifts_{case}"], strict=True)}
    weights = {f"{name}_weight": w.item() for name, w in zip(PARTS, values[f"weights_{case}"], strict=True)}
    head = StegoHead(24, 5, settings("stego", patches=SAMPLES, random_images=2, **shifts, **weights))
    give_positions(monkeypatch, values["coords1"], values["coords2"])
    give_partners(monkeypatch, "smooseg.heads.parts.distilled", values["random_partners"])
    codes = [values[key].clone().requires_grad_() for key in ("code", "code_neighbour")]
    views = [(values[key], code) for key, code in zip(("features", "features_neighbour"), codes, strict=True)]
    loss, parts = head.correspondence(*views, torch.Generator())
    assert_agrees(torch.stack([*(parts[name] for name in PARTS), loss]), values[f"loss_{case}"])
    loss.backward()
    assert_agrees(codes[0].grad, values[f"grad_code_{case}"])
    assert_agrees(codes[1].grad, values[f"grad_code_neighbour_{case}"])


def test_the_probe_is_the_released_one(values):
    probe = ClusterProbe(5, 16)
    probe.centres.data.copy_(values["probe_centres"])
    loss = probe.loss(values["code"])
    loss.backward()
    assert_agrees(loss, values["probe_loss"])
    assert_agrees(probe.centres.grad, values["probe_grad"])
    cosines = F.normalize(values["code"], dim=-1) @ probe.classifier()[0].T
    assert_agrees(cosines.argmax(-1), values["probe_cluster"])
    assert_agrees((2 * cosines).log_softmax(-1), values["probe_log_probs_alpha2"])
