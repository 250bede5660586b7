"""HP against golden values of its released code."""

import pytest
import torch
import torch.nn.functional as F

from smooseg.heads.hp.head import HiddenPositives, HPHead
from smooseg.heads.hp.positives import hidden_positives, reach
from smooseg.heads.parts.probe import ClusterProbe
from tests.support.heads import settings
from tests.support.released import assert_agrees, golden

VIEWS, PATCHES = 4, 25


@pytest.fixture(scope="module")
def values():
    return golden("hp")


def reaches(values: dict) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Normalised features and embeddings of all patches, and the reach of each in its pool."""
    pairs = [("features", "pool_agnostic"), ("teacher_embeddings", "pool_specific")]
    units = [tuple(F.normalize(values[key], dim=-1) for key in pair) for pair in pairs]
    return [(rows.flatten(0, 1), reach(rows.flatten(0, 1), pool)) for rows, pool in units]


def test_thresholds_are_the_released_ones(values):
    for (_, found), key in zip(reaches(values), ("threshold_agnostic", "threshold_specific"), strict=True):
        assert_agrees(found.view(VIEWS, PATCHES), values[key])


def trainer(values: dict, weight: float) -> HiddenPositives:
    """A training whose features, teacher, pools and draws are the golden ones, and whose projection is none."""
    head = HPHead(24, 5, settings("hp", dimensions=16, pool=30, temperature=0.6, anchors=None, dropout=0, share=0.2))
    training = HiddenPositives(head, values["pool_agnostic"], torch.Generator())
    training.specific = F.normalize(values["pool_specific"], dim=-1)
    training.teacher_embeddings = lambda *_: F.normalize(values["teacher_embeddings"], dim=-1)
    training.specific_weight = lambda _: weight
    training.projection = torch.nn.Identity()
    return training


@pytest.fixture
def drawn(values, monkeypatch):
    """Draws the golden candidates, and anchors in their order."""

    def rand(*shape: int, **_) -> torch.Tensor:
        return 1 - values["drawn"].float() if shape == (PATCHES, VIEWS * PATCHES) else torch.arange(25.0).repeat(4, 1)

    monkeypatch.setattr("torch.rand", rand)


@pytest.mark.parametrize("case", [0, 1])
def test_targets_are_the_released_ones(values, drawn, case):
    weight = values["lambdas"][case].item()
    for view, targets in enumerate(trainer(values, weight).targets(0, values["features"], torch.Generator())):
        anchors, weights, candidates = targets
        kept = values["anchors_kept"][view]
        assert torch.equal(anchors, view * PATCHES + kept.nonzero()[:, 0])
        specific = values["positives_specific"][view] if weight else False
        assert_agrees(weights, (values["positives"][view] + weight * specific)[kept])
        assert torch.equal(candidates, values["candidates"][view][kept])


def test_positives_are_the_released_ones(values):
    (seen, near), (taught, near_taught) = reaches(values)
    for view in range(VIEWS):
        anchors = torch.arange(view * PATCHES, (view + 1) * PATCHES)
        agnostic = hidden_positives(seen, near, anchors)
        assert torch.equal(agnostic, values["positives"][view])
        specific = hidden_positives(taught, near_taught, anchors) & agnostic.any(1, keepdim=True)
        assert torch.equal(specific, values["positives_specific"][view])


@pytest.mark.parametrize("case", [0, 1])
def test_losses_and_gradients_are_the_released_ones(values, drawn, case):
    training = trainer(values, values["lambdas"][case].item())
    targets = training.targets(0, values["features"], torch.Generator())
    raw = [values[key].clone().requires_grad_() for key in ("projections", "projections_mixed")]
    losses = [training.contrast(projections, targets) for projections in raw]
    together = sum(losses) / 2
    assert_agrees(torch.stack([*losses, together]), values[f"loss_{case}"])
    together.backward()
    assert_agrees(raw[0].grad, values[f"grad_projections_{case}"])
    assert_agrees(raw[1].grad, values[f"grad_projections_mixed_{case}"])


def test_the_probe_is_the_released_one(values):
    probe = ClusterProbe(5, 16)
    with torch.no_grad():
        probe.centres.copy_(values["probe_centres"])
    loss = probe.loss(values["teacher_embeddings"])
    loss.backward()
    assert_agrees(loss, values["probe_loss"])
    assert_agrees(probe.centres.grad, values["probe_grad"])
    nearest = F.normalize(values["teacher_embeddings"], dim=-1) @ probe.classifier()[0].T
    assert torch.equal(nearest.argmax(-1), values["probe_cluster"])
