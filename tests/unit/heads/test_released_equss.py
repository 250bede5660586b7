"""EQUSS against golden values of its released code."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from smooseg.heads.equss import EqussHead, quantisation_loss
from smooseg.heads.parts.positions import corners
from smooseg.heads.parts.probe import ClusterProbe
from tests.support.heads import settings
from tests.support.released import FOLDER, PARTS, assert_agrees, give_partners, give_positions, golden, positions

GRID, SAMPLES, PIXELS = (5, 5), 9, 15


@pytest.fixture(scope="module")
def values():
    return golden("equss")


@pytest.fixture
def head(values):
    """A head of the golden codewords, shifts and weights."""
    shifts = {f"b_{name}": b.item() for name, b in zip(PARTS, values["shifts"], strict=True)}
    weights = {f"{name}_weight": w.item() for name, w in zip(PARTS, values["weights"], strict=True)}
    sizes = {"dimensions": 24, "books": 6, "words": 8, "patches": SAMPLES, "random_images": 2}
    head = EqussHead(20, 5, settings("equss", **sizes, **shifts, **weights))
    head.quantiser.words.data.copy_(values["codewords"])
    return head


def test_the_quantised_embedding_is_of_raw_codewords(values, head):
    parts, words = head.quantiser(values["code"])
    assert torch.equal(head.quantiser.nearest(parts), values["codeword_index"])
    assert_agrees(words.flatten(-2), values["quantised"])
    head.projector.forward = lambda *_: values["code"]
    assert_agrees(head.embed(values["features"]), values["quantised"])  # what is evaluated


def test_the_quantiser_s_loss_and_gradients_are_the_released_ones(values, head):
    code = values["code"].clone().requires_grad_()
    loss = quantisation_loss(*head.quantiser(code), commitment=0.25)
    loss.backward()
    assert_agrees(loss, values["quantisation_loss"])
    assert_agrees(code.grad, values["quantisation_grad_code"])
    assert_agrees(head.quantiser.words.grad, values["quantisation_grad_codewords"])


def test_features_at_positions_are_the_released_ones(values):
    first, second = (corners(positions(values[key]), GRID) for key in ("coords1", "coords2"))
    assert_agrees(first.of(values["features"]), values["sampled_features"])
    assert_agrees(second.of(values["features_neighbour"]), values["sampled_features_neighbour"])


def test_losses_and_gradients_are_the_released_ones(values, head, monkeypatch):
    give_positions(monkeypatch, values["coords1"], values["coords2"])
    give_partners(monkeypatch, "smooseg.heads.parts.distilled", values["random_partners"])
    codes = [values[key].clone().requires_grad_() for key in ("code", "code_neighbour")]
    views = [(values[key], code) for key, code in zip(("features", "features_neighbour"), codes, strict=True)]
    loss, parts = head.correspondence(*views, torch.Generator())
    assert_agrees(torch.stack([*(parts[name] for name in PARTS), loss]), values["loss"])
    loss.backward()
    assert_agrees(codes[0].grad, values["grad_code"])
    assert_agrees(codes[1].grad, values["grad_code_neighbour"])


def test_a_step_adds_the_golden_losses(values, head, monkeypatch):
    give_positions(monkeypatch, values["coords1"], values["coords2"])
    give_partners(monkeypatch, "smooseg.heads.parts.distilled", values["random_partners"])
    codes = iter([values["code"], values["code_neighbour"]])
    head.projector.forward = lambda *_: next(codes)
    head.settings = head.settings | {"dropout": 0.0}
    head.probe.centres.data.copy_(values["probe_centres"])
    loss, parts = head.energy(values["features"], values["features_neighbour"], torch.Generator())
    assert_agrees(parts["quantisation"], values["quantisation_loss"])
    assert_agrees(parts["probe"], ClusterProbe.loss(head.probe, values["quantised"]))  # of all patches
    torch.testing.assert_close(loss, values["loss"][-1] + values["quantisation_loss"] + parts["probe"])


def test_the_probe_is_the_released_one_on_the_released_pixels(values):
    probe = ClusterProbe(5, 24)
    probe.centres.data.copy_(values["probe_centres"])
    maps = values["quantised"].transpose(1, 2).unflatten(2, GRID)
    pixels = F.interpolate(maps, (PIXELS, PIXELS), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    loss = probe.loss(pixels)
    loss.backward()
    assert_agrees(loss, values["cluster_loss_pixels"])
    assert_agrees(probe.centres.grad, values["cluster_grad_pixels"])
    clusters = (F.normalize(pixels, dim=-1) @ probe.classifier()[0].T).argmax(-1)
    with np.load(FOLDER / "equss.npz") as file:
        assert np.array_equal(clusters.numpy(), file["cluster_of_pixels"])


def test_dropout_has_one_mask_as_released(head):
    given = []
    head.projector.forward = lambda *inputs: given.extend(inputs) or inputs[0]
    head.settings = head.settings | {"dropout": 0.5}
    features, _ = head.project(torch.ones(3, 4, 20), torch.Generator().manual_seed(0))
    assert (features == 0).any() and all(torch.equal(features, part) for part in given)
