"""HP: pools, positives and contrast against plain loops in float64; gradients, the schedule and the moving average."""

import math
from copy import deepcopy

import hypothesis
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from smooseg.errors import SmoosegError
from smooseg.features.store import open_store
from smooseg.heads import HEADS
from smooseg.heads.hp.head import HiddenPositives, HPHead
from smooseg.heads.hp.positives import hidden_positives, neighbour_weights, neighbourhood, reach
from smooseg.heads.parts.contrast import contrastive_loss
from tests.conftest import clustered_features, make_store
from tests.support.heads import BUDGET, KINDS, settings

CHANNELS = 6


def directions(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def dot(a, b) -> float:
    return sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


@pytest.fixture
def trainer():
    """A head in training, on 4 views of 9 patches."""
    torch.manual_seed(0)
    head = HPHead(CHANNELS, KINDS, settings("hp", dimensions=4, pool=5, steps=10, warmup=2, anchors=3, share=0.5))
    return HiddenPositives(head, torch.randn(5, CHANNELS), torch.Generator().manual_seed(0))


@pytest.fixture
def views():
    return torch.randn(4, 9, CHANNELS, generator=torch.Generator().manual_seed(1))


def test_positives_are_closer_than_all_of_a_pool_to_either_patch():
    features, pool, anchors = directions(10, 3), directions(4, 3, seed=1), torch.tensor([7, 2])
    bar = [max(dot(f, p) for p in pool) for f in features]
    expected = [
        [
            b != a and (dot(features[a], features[b]) > bar[a] or dot(features[a], features[b]) > bar[b])
            for b in range(10)
        ]
        for a in (7, 2)
    ]
    assert hidden_positives(features, reach(features, pool), anchors).tolist() == expected
    assert sum(map(sum, expected)) >= 2


@hypothesis.settings(deadline=None)
@given(st.integers(0, 1000))
def test_all_anchors_are_positives_of_each_other(seed):
    features = directions(8, 3, seed=seed)
    found = hidden_positives(features, reach(features, directions(3, 3, seed=seed + 1)), torch.arange(8))
    assert torch.equal(found, found.T)
    assert not found.diagonal().any()


def test_contrast_is_its_formula():
    z, anchors, temperature = directions(7, 3), [4, 0], 0.8
    weights = [[0, 1.3, 0, 0, 0, 1, 0], [0, 0, 0.3, 0, 0, 0, 1]]  # 0.3: by the second pool alone, and no candidate
    candidates = [[1, 1, 0, 1, 0, 1, 0], [0, 0, 0, 1, 0, 1, 1]]
    numbers = [sum(row) for row in weights]
    expected = 0.0
    for a, row, allowed, number in zip(anchors, weights, candidates, numbers, strict=True):
        total = sum(math.exp(dot(z[a], z[q]) / temperature) for q in range(7) if allowed[q])
        of_anchor = sum(w * (dot(z[a], z[b]) / temperature - math.log(total)) for b, w in enumerate(row)) / number
        expected -= (number / (sum(numbers) / 2)) * of_anchor / 2
    loss = contrastive_loss(
        z[anchors], z, torch.tensor(weights), torch.tensor(candidates, dtype=torch.bool), temperature
    )
    assert abs(loss.item() - expected) < 1e-6


def test_contrast_draws_positives_together_and_is_zero_without_any():
    z = directions(6, 3).requires_grad_()
    mask = torch.tensor([[False, True, False, False, False, False]])
    candidates = torch.tensor([[False, True, True, True, True, True]])
    contrastive_loss(z[:1], z, mask.double(), candidates, 0.5).backward()
    moved = F.normalize(z.detach() - 0.01 * z.grad, dim=-1)
    assert dot(moved[0], moved[1]) > dot(z.detach()[0], z.detach()[1])
    assert contrastive_loss(z[:0], z, mask[:0].double(), candidates[:0], 0.5) == 0


def test_neighbours_count_by_their_closeness():
    features, side = directions(16, 3), 4
    closeness = [[dot(a, b) for b in features] for a in features]

    def quantile(values, share):
        below = share * (len(values) - 1)
        low = sorted(values)[int(below)]
        return low + (below - int(below)) * (sorted(values)[int(below) + 1] - low)

    expected = torch.zeros(16, 16, dtype=torch.float64)
    for a in range(16):
        cut = [min(max(c, quantile(closeness[a], 0.1)), quantile(closeness[a], 0.9)) for c in closeness[a]]
        weights = [side * math.exp(c) / sum(map(math.exp, cut)) for c in cut]
        near = [b for b in range(16) if abs(a // 4 - b // 4) <= 1 and abs(a % 4 - b % 4) <= 1]
        for b in near:
            expected[a, b] = weights[b] / len(near) if weights[b] >= sum(weights) / 16 else 0
    torch.testing.assert_close(neighbour_weights(features), expected)


def test_neighbourhoods_are_smaller_at_the_edges():
    assert neighbourhood(3).sum(1).tolist() == [4, 6, 4, 6, 9, 6, 4, 6, 4]


@pytest.mark.parametrize(("step", "weight"), [(0, 0), (2, 0), (3, 1 / 8), (10, 1)])
def test_positives_of_the_second_pool_count_more_and_more(trainer, step, weight):
    assert trainer.specific_weight(step) == weight


def test_targets_are_those_of_the_released_recipe(trainer, views):
    trainer.settings = trainer.settings | {"anchors": None, "dropout": 0.0, "share": 1.0}
    seen = F.normalize(views, dim=-1).flatten(0, 1)
    taught = F.normalize(trainer.teacher(views, views), dim=-1).flatten(0, 1)
    for image, (anchors, weights, candidates) in enumerate(trainer.targets(6, views, torch.Generator())):
        assert (anchors // 9 == image).all()
        first = hidden_positives(seen, reach(seen, trainer.agnostic), anchors)
        second = hidden_positives(taught, reach(taught, trainer.specific), anchors)
        torch.testing.assert_close(weights, first + 0.5 * second)  # half-way from step 2 to step 10
        assert first.any(1).all()
        assert (candidates.sum(1) == 35).all()


def test_loss_leaves_the_teacher_alone_and_the_probe_the_projector(trainer, views):
    loss, parts = trainer.energy(3, views, torch.Generator().manual_seed(0))
    loss.backward(retain_graph=True)
    assert all(p.grad is None for p in trainer.teacher.parameters())
    assert trainer.head.projector.linear.weight.grad.abs().sum() > 0
    torch.testing.assert_close(loss, (parts["global"] + parts["local"]) / 2 + parts["probe"])
    trainer.zero_grad()
    parts["probe"].backward()
    assert trainer.head.projector.linear.weight.grad is None
    assert trainer.head.probe.centres.grad.abs().sum() > 0


def test_the_teacher_follows_the_projector(trainer):
    trainer.settings = trainer.settings | {"momentum": 0.9}
    before = deepcopy(trainer.teacher.linear.weight)
    with torch.no_grad():
        trainer.head.projector.linear.weight.add_(1)
    trainer.update_teacher()
    torch.testing.assert_close(trainer.teacher.linear.weight, before + 0.1)


def test_the_teacher_moves_before_the_step_towards_the_projector_as_it_was(trainer, views):
    trainer.settings = trainer.settings | {"momentum": 0.9}
    with torch.no_grad():
        trainer.head.projector.linear.weight.add_(1)
    before, weight = deepcopy(trainer.teacher.linear.weight), trainer.head.projector.linear.weight
    optimizer = torch.optim.SGD(trainer.head.parameters(), lr=1)
    expected = trainer.targets(3, views, torch.Generator().manual_seed(0))  # of the teacher as it was

    def targets(*of):
        assert torch.equal(trainer.teacher.linear.weight, before)
        return expected

    trainer.targets = targets
    trainer.energy(3, views, torch.Generator().manual_seed(0))[0].backward()
    optimizer.step()
    torch.testing.assert_close(trainer.teacher.linear.weight, before + 0.1)
    assert not torch.allclose(weight, before + 1)


def test_the_second_pool_is_of_the_views_seen_last(trainer, views):
    trainer.settings = trainer.settings | {"dropout": 0.0, "renew": 2}
    first, generator = trainer.specific.clone(), torch.Generator().manual_seed(0)
    trainer.renew_pool(1, views, generator)
    assert torch.equal(trainer.specific, first)
    assert (trainer.recent[1:, None] == views).all(-1).any(1).all()
    trainer.renew_pool(2, views, generator)
    torch.testing.assert_close(trainer.specific, trainer.teacher_embeddings(trainer.recent[:, None], generator)[:, 0])
    assert not torch.equal(trainer.specific, first)


def test_a_streamed_store_trains_too(tmp_path):
    make_store(tmp_path / "s.zarr", clustered_features(64, kinds=KINDS)[0])
    store = open_store(tmp_path / "s.zarr", {})
    budget = 2 * store.chunk * store.row_bytes
    _, history = HEADS["hp"].fit(store, KINDS, settings("hp", steps=5), seed=0, budget=budget)
    assert history["step"].tolist() == [5]


@pytest.mark.parametrize("change", [{"share": 1.5}, {"pool": 0}, {"anchors": 0}, {"temperature": 0}, {"alpha": 0.05}])
def test_bad_settings_are_one_sentence(change):
    with pytest.raises(SmoosegError, match=f"settings.*{next(iter(change))}"):
        settings("hp", **change)


def test_a_rate_too_large_is_an_error(tmp_path):
    make_store(tmp_path / "s.zarr", clustered_features(64, kinds=KINDS)[0])
    with pytest.raises(SmoosegError, match="training diverged"):
        HEADS["hp"].fit(
            open_store(tmp_path / "s.zarr", {}), KINDS, settings("hp", lr=1e38, steps=2), seed=0, budget=BUDGET
        )
