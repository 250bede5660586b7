"""CAUSE against golden values of its released code."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from smooseg.heads.cause.front_door import FrontDoor, nearest_codes
from smooseg.heads.cause.head import CauseHead
from smooseg.heads.cause.modularity import modularity_loss, modularity_matrix
from tests.support.heads import settings
from tests.support.released import assert_agrees, golden

CODES, SIZE, DIMENSIONS = 8, 3, 12


@pytest.fixture(scope="module")
def values():
    return golden("cause")


@pytest.mark.parametrize(
    ("centres", "prefix"),
    [("codebook", "modularity"), ("centres", "centre_modularity")],
)
def test_modularity_and_its_gradient_are_the_released_ones(values, centres, prefix):
    moved = values[centres].clone().requires_grad_()
    loss = modularity_loss(values["features"], moved)
    loss.backward()
    assert_agrees(loss, values[f"{prefix}_loss"])
    assert_agrees(moved.grad, values[f"{prefix}_grad"])


def test_the_modularity_matrix_is_the_released_one(values):
    matrix, total = modularity_matrix(F.normalize(values["features"], dim=-1))
    assert_agrees(matrix[0], values["modularity_matrix_first_view"])
    assert_agrees(total.flatten(), values["edges"])


@pytest.mark.parametrize("suffix", ["", "_2"])
def test_codes_are_the_released_ones(values, suffix):
    assert torch.equal(nearest_codes(values[f"features{suffix}"], values["codebook"]), values[f"codes{suffix}"])


def front_door(teacher: nn.Module) -> FrontDoor:
    sizes = {"codes": CODES, "bank": SIZE, "dimensions": 4, "projection": DIMENSIONS}
    return FrontDoor(teacher, settings("cause", **sizes))


def test_contrast_and_bank_are_the_released_ones(values, monkeypatch):
    monkeypatch.setattr("torch.randperm", lambda n, **_: torch.arange(n))  # the half kept is the first
    door, unit = front_door(nn.Identity()), F.normalize(values["codebook"], dim=-1)
    for step, features in ((1, "features"), (2, "features_2")):  # the second with what the first left in the bank
        student = values[f"student_{step}"].clone().requires_grad_()
        teacher = F.normalize(values[f"teacher_{step}"], dim=-1)
        codes = nearest_codes(values[features], values["codebook"])
        loss = door.terms(F.normalize(student, dim=-1), teacher, codes, unit @ unit.T)
        loss.backward()
        assert_agrees(loss, values[f"contrast_loss_{step}"])
        assert_agrees(student.grad, values[f"contrast_grad_{step}"])
        door.bank.add(codes.flatten(), teacher.flatten(0, 1), torch.Generator())
        assert torch.equal(door.bank.added.clamp_max(SIZE), values[f"bank_counts_{step}"])
        for code, added in enumerate(door.bank.added.tolist()):
            newest = [number % SIZE for number in range(max(0, added - SIZE), added)]
            theirs = F.normalize(values[f"bank_rows_{step}"][code, : len(newest)], dim=-1)  # kept raw
            if newest:
                assert_agrees(door.bank.rows[code, newest], theirs)


def test_the_teacher_moves_as_released(values):
    weights, teacher = values["student_weight"], nn.Linear(5, 4, bias=False)
    with torch.no_grad():
        teacher.weight.copy_(weights[0])
    door, found = front_door(teacher), [weights[0]]
    for step in (1, 2):
        with torch.no_grad():
            door.student.weight.copy_(weights[step])
        door.update_teacher(teacher, first=step == 1)
        found.append(teacher.weight.detach().clone())
    assert_agrees(torch.stack(found), values["teacher_weight"])


def test_clusters_are_the_released_ones(values):
    head = CauseHead(20, 5, settings("cause", codes=CODES, dimensions=20))
    with torch.no_grad():
        head.centres.copy_(values["centres"])
        cosines = head.logits(values["features"])
    assert_agrees((3 * cosines).log_softmax(-1), values["centre_log_probs_alpha3"])
    assert_agrees(-cosines.amax(-1).mean(), values["centre_cosine_loss"])
    assert torch.equal(cosines.argmax(-1), values["centre_cluster"])
