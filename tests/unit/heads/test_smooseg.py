"""SmooSeg's training steps are those of the released code."""

import numpy as np
import pytest
import torch

from smooseg.heads.smooseg import head as module
from smooseg.heads.smooseg.head import SmooSegHead
from tests.conftest import ROOT
from tests.support.heads import settings

NEARNESS = 1e-5  # of an array's largest entry


@pytest.fixture(scope="module")
def released() -> dict[str, torch.Tensor]:
    """What the released code computes in three steps."""
    with np.load(ROOT / "tests" / "reference" / "heads" / "smooseg.npz") as values:
        return {name: torch.from_numpy(values[name]) for name in values}


def begun(released: dict[str, torch.Tensor], momentum: float, steps: int) -> SmooSegHead:
    """A head at the released start."""
    b1, b2, _, temperature, lr_projector, lr_prototypes = released["settings"].tolist()
    chosen = {"b1": b1, "b2": b2, "temperature": temperature, "lr_projector": lr_projector}
    chosen |= {"lr_prototypes": lr_prototypes, "momentum": momentum, "dropout": 0, "precision": "float32"}
    head = SmooSegHead(20, 5, settings("smooseg", dimensions=12, steps=max(steps, 1), **chosen))
    layers = {"linear": head.projector.linear, "hidden": head.projector.mlp[0], "out": head.projector.mlp[2]}
    with torch.no_grad():
        for name, layer in layers.items():
            layer.weight.copy_(released[f"{name}_weight"])
            layer.bias.copy_(released[f"{name}_bias"])
        head.student.copy_(released["prototypes"])
        head.teacher.copy_(released["prototypes"])
    return head


def trained(released, monkeypatch, steps: int, momentum: float = 0.998):
    """A head after some steps of its own training on the stored batches, and the history."""
    partners = iter(released["partners"])
    monkeypatch.setattr(module, "random_partners", lambda *of: next(partners))
    monkeypatch.setattr(module, "shuffled_batches", lambda *of: iter(released["features"]))
    head = begun(released, momentum, steps)
    return head, head.learn(None, seed=0, budget=0, snapshot=None) if steps else None


def check(found: torch.Tensor, expected: torch.Tensor):
    torch.testing.assert_close(found.detach(), expected, rtol=0, atol=NEARNESS * float(expected.abs().max()))


@pytest.mark.parametrize("step", range(3))
def test_a_step_is_the_released_one(released, monkeypatch, step):
    before, _ = trained(released, monkeypatch, step)
    embeddings = before.embed(released["features"][step])
    check(embeddings, released["embeddings"][step])
    assert torch.equal(before.logits(embeddings).argmax(-1), released["pseudo_labels"][step])
    head, history = trained(released, monkeypatch, step + 1)
    row = history.iloc[-1]
    check(torch.tensor([row.loss, row.within + row.across, row["data"]]), released["losses"][step].double())
    check(head.student.grad, released["grad_student"][step])
    check(head.projector.linear.weight.grad, released["grad_linear_weight"][step])
    check(head.projector.linear.weight, released["linear_weight_after"][step])
    check(head.student, released["student"][step])
    torch.testing.assert_close(head.teacher, released["teacher"][step], rtol=0, atol=2e-7)


@pytest.mark.parametrize("step", range(3))
def test_the_teacher_moves_before_the_step_as_released(released, monkeypatch, step):
    head, history = trained(released, monkeypatch, step + 1, momentum=0.5)
    row = history.iloc[-1]
    losses = torch.tensor([row.loss, row.within + row.across, row["data"]])
    check(losses, released["losses_alpha_half"][step].double())
    check(head.student, released["student_alpha_half"][step])
    check(head.teacher, released["teacher_alpha_half"][step])
    if step == 0:
        assert torch.equal(head.teacher, released["prototypes"])  # the start
