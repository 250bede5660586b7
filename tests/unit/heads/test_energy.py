"""The closed form against golden values, against the dense form, and against its own promises."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from smooseg.heads.parts.partners import random_partners
from smooseg.heads.smooseg.energy import data_term, image_moments, smoothness


def dense(features, assignments, partner, threshold):
    """Eq. 4 as written, with the N x N matrices: the reference."""
    x, a = F.normalize(features, dim=-1), F.normalize(assignments, dim=-1)
    other = slice(None) if partner is None else partner
    closeness = x @ x[other].transpose(1, 2)
    closeness = closeness - closeness.mean(-1, keepdim=True) + closeness.mean()
    delta = 1 - a @ a[other].transpose(1, 2)
    return ((closeness - threshold) * delta).mean(), delta.mean()


def golden_inputs():
    i = torch.arange(3 * 20 * 12, dtype=torch.float64)
    features = (torch.sin(0.37 * i + 0.1) + 0.3).reshape(3, 20, 12)
    i = torch.arange(3 * 20 * 6, dtype=torch.float64)
    assignments = F.softmax(2 * torch.sin(0.53 * i + 0.7).reshape(3, 20, 6), dim=-1)
    return features, assignments.requires_grad_()


@pytest.mark.parametrize("term", ["within", "across"])
def test_closed_form_gives_the_golden_loss_and_gradients(golden, term):
    features, assignments = golden_inputs()
    expected = golden["values"][term]
    partner = torch.tensor(golden["inputs"]["across_partner"]) if term == "across" else None
    loss, delta = smoothness(image_moments(features, assignments), partner, expected["threshold"])
    loss.backward()
    assert math.isclose(loss.item(), expected["loss"], abs_tol=1e-9)
    assert math.isclose(delta.item(), expected["delta_mean"], abs_tol=1e-9)
    assert math.isclose(assignments.grad.norm().item(), expected["grad_norm"], abs_tol=1e-9)
    first = torch.tensor(expected["grad_first_patch"], dtype=torch.float64)
    torch.testing.assert_close(assignments.grad[0, 0], first, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("batch", "patches", "channels", "clusters"), [(2, 1, 3, 2), (4, 9, 5, 7), (8, 49, 16, 27)])
@pytest.mark.parametrize("across", [False, True])
def test_closed_form_equals_the_dense_form(batch, patches, channels, clusters, across):
    generator = torch.Generator().manual_seed(patches)
    features = torch.randn(batch, patches, channels, generator=generator, dtype=torch.float64)
    raw = torch.rand(batch, patches, clusters, generator=generator, dtype=torch.float64)
    partner = random_partners(batch, generator) if across else None
    results = []
    for form in (
        lambda a: smoothness(image_moments(features, a), partner, 0.3),
        lambda a: dense(features, a, partner, 0.3),
    ):
        assignments = raw.clone().requires_grad_()
        loss, delta = form(assignments)
        loss.backward()
        results.append((loss.detach(), delta.detach(), assignments.grad))
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-12, rtol=1e-9)


def test_closed_form_allocates_nothing_of_size_n_by_n():
    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple | list) else (result,):
                if isinstance(tensor, torch.Tensor):
                    Largest.elements = max(Largest.elements, tensor.numel())
            return result

    batch, patches, channels = 2, 400, 8
    features, assignments = torch.randn(batch, patches, channels), torch.rand(batch, patches, 5, requires_grad=True)
    with Largest():
        moments = image_moments(features, assignments)
        loss = sum(smoothness(moments, partner, 0.1)[0] for partner in (None, torch.tensor([1, 0])))
        loss.backward()
    assert Largest.elements <= batch * patches * channels < patches * patches


def test_equal_assignments_cost_nothing():
    features = torch.randn(3, 10, 4, dtype=torch.float64)
    assignments = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64).expand(3, 10, 3)
    energy, delta = smoothness(image_moments(features, assignments), None, 0.2)
    assert abs(energy) < 1e-12
    assert abs(delta) < 1e-12


def test_zero_features_stay_finite():
    energy, _ = smoothness(image_moments(torch.zeros(2, 4, 3), torch.rand(2, 4, 2)), None, 0.0)
    assert torch.isfinite(energy)


def test_data_term_is_the_cross_entropy_of_the_pseudo_labels():
    logits = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])
    expected = -(F.log_softmax(logits, -1)[0, 0, 0] + F.log_softmax(logits, -1)[0, 1, 1]) / 2
    torch.testing.assert_close(data_term(logits, torch.tensor([[0, 1]])), expected)


def test_no_image_is_its_own_partner():
    generator = torch.Generator().manual_seed(0)
    for batch in (2, 3, 32):
        for _ in range(50):
            partner = random_partners(batch, generator)
            assert (partner != torch.arange(batch)).all()
            assert sorted(partner.tolist()) == list(range(batch))
