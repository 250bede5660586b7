"""PPAP against golden values of its released code."""

import pytest
import torch
import torch.nn.functional as F

from smooseg.heads.ppap.proxies import masks, propagate, proxy_loss
from tests.support.released import assert_agrees, golden

PATCHES = 36  # of each of 4 views
KEYS = ("phi", "psi", "moves", "sigma_positive", "sigma_ambiguous", "temperature")


@pytest.fixture(scope="module")
def values():
    return golden("ppap")


def settings(values: dict, case: str) -> dict:
    """Those of a case; the released code keeps the first thresholds in half precision."""
    found = dict(zip(KEYS, values[f"settings_{case}"].tolist(), strict=True))
    first = {key: torch.tensor(found[key]).half().item() for key in ("phi", "psi")}
    return found | first | {"moves": int(found["moves"])}


@pytest.mark.parametrize("case", ["a", "b"])
def test_proxies_and_thresholds_are_the_released_ones(values, case):
    units = F.normalize(values["features"], dim=-1).flatten(0, 1)
    for view, patches in enumerate(values["anchors"]):
        proxies, phi, psi = propagate(units[PATCHES * view + patches], units, settings(values, case))
        assert_agrees(proxies, values[f"proxies_{case}"][view])
        assert_agrees(phi[:, 0], values[f"phi_{case}"][view])
        assert_agrees(psi[:, 0], values[f"psi_{case}"][view])


@pytest.mark.parametrize("case", ["a", "b"])
def test_positives_and_negatives_are_the_released_ones(values, case):
    units, unlike = F.normalize(values["features"], dim=-1).flatten(0, 1), []
    for view, patches in enumerate(values["anchors"]):
        rows = PATCHES * view + patches
        positive, negative = masks(rows, units, settings(values, case))
        assert torch.equal(positive, values[f"positives_{case}"][view])
        assert torch.equal(negative, values[f"unlike_{case}"][view])
        ambiguous = (~(positive | negative)).scatter(1, rows[:, None], False)
        assert torch.equal(ambiguous, values[f"ambiguous_{case}"][view])
        unlike.append(negative.sum(1).float())
    assert_agrees(torch.cat(unlike).mean(), values[f"mean_unlike_{case}"])


@pytest.mark.parametrize("case", ["a", "b"])
def test_the_loss_and_its_gradient_are_the_released_ones(values, case):
    embeddings = values["embeddings"].clone().requires_grad_()
    loss, share = proxy_loss(values["features"], embeddings, values["anchors"], settings(values, case))
    loss.backward()
    assert_agrees(loss, values[f"loss_{case}"])
    assert_agrees(embeddings.grad, values[f"grad_{case}"])
    assert_agrees(share * 4 * PATCHES, values[f"mean_positives_{case}"])
