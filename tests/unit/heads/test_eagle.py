"""EAGLE: eigenvectors, medoids and losses against plain loops in float64; gradients, the schedule and its parts."""

import math

import hypothesis
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from smooseg.errors import SmoosegError
from smooseg.features.store import open_store
from smooseg.heads import HEADS
from smooseg.heads.eagle.eigenvectors import EigenClusters, eigenvectors, medoids, object_loss, patch_weights
from smooseg.heads.eagle.head import EagleHead, Objects, adaptive_loss
from smooseg.heads.parts.correspondence import correspondences
from tests.conftest import clustered_features, make_store
from tests.support.heads import BUDGET, KINDS, settings

CHANNELS = 6


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows(tensor: torch.Tensor) -> list[list[float]]:
    return tensor.tolist()


def dot(a, b) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def cosine(a, b) -> float:
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


@pytest.fixture
def objects():
    """A head in training."""
    torch.manual_seed(0)
    return Objects(EagleHead(CHANNELS, KINDS, settings("eagle", dimensions=4, warmup=2, patches=None, samples=None)))


@pytest.fixture
def views():
    return random(4, 9, CHANNELS).float()


def test_eigenvectors_are_those_of_the_normalised_laplacian():
    embeddings = random(2, 7, 3)
    for z, found in zip(embeddings.numpy(), eigenvectors(embeddings).numpy(), strict=True):
        products = np.array([[max(0.0, dot(a, b)) for b in z] for a in z])
        affinity = products / products.max() + 1
        degrees = affinity.sum(1)
        laplacian = (np.diag(degrees) - affinity) / np.sqrt(np.outer(degrees, degrees))
        values, vectors = np.linalg.eigh(laplacian)
        assert abs(values[0]) < 1e-12
        np.testing.assert_allclose(np.abs(np.sum(vectors[:, 1:4] * found, 0)), 1, atol=1e-4)
        np.testing.assert_allclose(found.T @ found, np.eye(3), atol=1e-5)


def test_eigenvectors_separate_two_objects():
    parts = torch.eye(4)[torch.tensor([0, 0, 1, 1, 1, 0, 1])]
    first = eigenvectors((parts + 0.01 * random(7, 4))[None])[0, :, 0]
    assert len({bool(x) for x in first[[0, 1, 5]] > 0}) == len({bool(x) for x in first[[2, 3, 4, 6]] > 0}) == 1
    assert first[0] * first[2] < 0


@hypothesis.settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_scale_and_order_of_patches_do_not_matter(seed, scale):
    embeddings, order = random(1, 8, 5, seed=seed), torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    vectors, moved = eigenvectors(embeddings)[0], eigenvectors(scale * embeddings[:, order])[0]
    first, second = ((v @ v.T) for v in (vectors[order], moved))  # signs cancel
    torch.testing.assert_close(first, second, atol=1e-2, rtol=0)


def test_eigenvectors_and_medoids_without_any_embedding_stay_finite():
    assert torch.isfinite(eigenvectors(torch.zeros(1, 5, 3))).all()
    assert torch.equal(medoids(torch.zeros(5, 3), torch.zeros(5, dtype=torch.int64), 1), torch.zeros(1, 3))


def test_clusters_of_eigenvectors_have_their_loss():
    clusters, vectors = EigenClusters(4).double(), random(2, 5, 3)
    loss, labels = clusters(vectors)
    expected = 0.0
    for i, vector in enumerate(rows(vectors.flatten(0, 1))):
        cosines = [cosine(vector, centre) for centre in rows(clusters.centres)]
        total = sum(map(math.exp, cosines))
        expected -= sum(math.exp(c) / total * c for c in cosines) / 10
        assert labels.flatten()[i] == cosines.index(max(cosines))
    assert abs(loss.item() - expected) < 1e-12


def test_medoids_are_the_least_far_of_their_kind(monkeypatch):
    monkeypatch.setattr("smooseg.heads.eagle.eigenvectors.BLOCK", 2)
    z, kinds = random(9, 3).requires_grad_(), torch.tensor([0, 1, 1, 0, 2, 1, 0, 0, 1])
    found = medoids(z, kinds, 3)
    for kind in range(3):
        members = [row for row, k in zip(rows(z), kinds.tolist(), strict=True) if k == kind]
        assert found[kind].tolist() == min(members, key=lambda a: sum(math.dist(a, b) for b in members))
    found.sum().backward()
    assert (z.grad.abs().sum(1) > 0).sum() == 3


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_contrast_of_objects_is_its_formula(smoothing):
    z, other, weights = F.normalize(random(6, 3), dim=-1), F.normalize(random(6, 3, seed=1), dim=-1), random(6).abs()
    labels = torch.tensor([5, 2, 5, 9, 2, 2])  # of a dozen kinds, three are there
    present = [2, 5, 9]
    centres = rows(medoids(z, torch.tensor([1, 0, 1, 2, 0, 0]), 3))
    expected = 0.0
    for share, view in ((0.3, z), (0.7, other)):
        for p, row in enumerate(rows(view)):
            logits = [dot(row, centre) / 0.07 for centre in centres]
            normaliser = math.log(sum(map(math.exp, logits)))
            for k, logit in zip(present, logits, strict=True):
                label = 1 - smoothing if labels[p] == k else smoothing / 2
                expected -= share / 2 * weights[p].item() * label * (logit - normaliser) / 6
    loss = object_loss(z, other, labels, weights, smoothing)
    assert abs(loss.item() - expected) < 1e-12


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_single_object_costs_nothing(smoothing):
    z = F.normalize(random(6, 3), dim=-1)
    assert object_loss(z, z, torch.full((6,), 3), torch.ones(6), smoothing).abs() < 1e-12


def test_weights_of_patches_are_row_means_of_normalised_columns():
    features = random(2, 5, 3) + 1
    for image, found in zip(rows(features), rows(patch_weights(features)), strict=True):
        gram = [[dot(a, b) for b in image] for a in image]
        norms = [math.sqrt(sum(gram[i][j] ** 2 for i in range(5))) for j in range(5)]
        expected = [max(0.0, sum(gram[i][j] / norms[j] for j in range(5)) / 5) for i in range(5)]
        assert found == pytest.approx(expected)


@pytest.mark.parametrize(("same", "b"), [(True, 0.0), (True, 0.11), (False, 0.0), (False, 0.11)])
def test_shifts_adapt_as_released(same, b):
    f, g, z, y = (random(2, n, c, seed=n * c) for n, c in ((5, 6), (4, 6), (5, 3), (4, 3)))
    pairs = [(i, p, q) for i in range(2) for p in range(5) for q in range(4)]
    close = {(i, p, q): cosine(f[i, p].tolist(), g[i, q].tolist()) for i, p, q in pairs}
    alike = {(i, p, q): cosine(z[i, p].tolist(), y[i, q].tolist()) for i, p, q in pairs}
    means = [sum(of.values()) / 40 for of in (close, alike)]
    shift = abs(means[0] - means[1] - b) if same else 3.5 * (means[0] + means[1] - b)
    expected = 0.0
    for i, p, q in pairs:
        centred = close[i, p, q] - sum(close[i, p, o] for o in range(4)) / 4 + means[0]
        expected -= (centred - shift) * min(max(alike[i, p, q], 0), 0.8) / 40
    first, second = ((F.normalize(a, dim=-1), F.normalize(c, dim=-1)) for a, c in ((f, z), (g, y)))
    assert abs(adaptive_loss(first, second, b, same).item() - expected) < 1e-9
    assert max(alike.values()) > 0.8  # so that both ends of the clamp are there
    closeness, correspondence = correspondences(first, second)
    assert closeness.shape == correspondence.shape == (2, 5, 4)


def test_objects_are_contrasted_after_the_warmup(objects, views):
    for step, share in ((0, 0.0), (2, 0.0), (3, 0.9)):
        loss, parts = objects.energy(step, views, torch.Generator().manual_seed(0))
        corresponding = 0.25 * parts["same"] + 0.63 * parts["apart"]
        expected = (1 - share) * corresponding + share * 0.85 * parts["objects"] + parts["eigen"] + parts["probe"]
        torch.testing.assert_close(loss, expected)
        assert (parts["objects"] > 0) == (share > 0)


def test_each_loss_trains_what_it_should(objects, views):
    trained = {
        "same": {"head.projector"},
        "apart": {"head.projector"},
        "objects": {"head.projector", "projection"},
        "eigen": {"eigen"},
        "probe": {"head.probe"},
    }
    for name, modules in trained.items():
        objects.zero_grad()
        objects.energy(3, views, torch.Generator().manual_seed(0))[1][name].backward()
        found = {key for key, parameter in objects.named_parameters() if parameter.grad is not None}
        assert {next(m for m in set().union(*trained.values()) if key.startswith(m)) for key in found} == modules


def test_views_differ_by_dropout_alone(objects, views):
    first, second = objects.two_views(views, torch.Generator().manual_seed(0))
    assert ((first[0] == 0) | torch.isclose(first[0], views / 0.9)).all()
    assert not torch.equal(first[1], second[1])
    objects.settings = objects.settings | {"dropout": 0.0}
    first, second = objects.two_views(views, torch.Generator())
    assert torch.equal(first[1], second[1])


def test_both_weightings_agree_on_equal_weights(objects, views):
    both = objects.two_views(views[:, :1].expand(-1, 9, -1), torch.Generator().manual_seed(0))
    losses = []
    for weigh in (True, False):
        objects.settings = objects.settings | {"weigh_patches": weigh}
        losses.append(objects.objects(both, True)[1])
    torch.testing.assert_close(*losses)


def test_more_clusters_than_classes(tmp_path):
    make_store(tmp_path / "s.zarr", clustered_features(32, kinds=KINDS)[0])
    store = open_store(tmp_path / "s.zarr", {})
    head, history = HEADS["eagle"].fit(store, KINDS + 5, settings("eagle", steps=2), seed=0, budget=BUDGET)
    assert head.classifier()[0].shape == (KINDS + 5, 16)
    assert history["clusters"].between(1, KINDS + 5).all()


def test_views_of_too_few_patches_are_an_error(tmp_path):
    make_store(tmp_path / "s.zarr", clustered_features(32, patches=1)[0])
    with pytest.raises(SmoosegError, match="views of 1 patches have no 3 eigenvectors"):
        HEADS["eagle"].fit(open_store(tmp_path / "s.zarr", {}), KINDS, settings("eagle"), seed=0, budget=BUDGET)


@pytest.mark.parametrize("change", [{"patches": 3}, {"object_share": 2}, {"smoothing": 0.9}, {"batch": 1}])
def test_bad_settings_are_one_sentence(change):
    with pytest.raises(SmoosegError, match=f"settings.*{next(iter(change))}"):
        settings("eagle", **change)
