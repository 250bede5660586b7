"""The cluster probe: its loss against plain loops, where its gradient goes, and that it finds separate kinds."""

import torch

from smooseg.heads.parts.probe import ClusterProbe
from tests.conftest import clustered_features


def cosine(a, b) -> float:
    return float((a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt()))


def test_loss_is_minus_the_mean_of_the_largest_cosine():
    torch.manual_seed(0)
    probe = ClusterProbe(4, 3).double()
    embeddings = torch.randn(2, 5, 3, dtype=torch.float64)
    cosines = [[cosine(z, c) for c in probe.centres.detach()] for z in embeddings.reshape(10, 3)]
    expected = -sum(max(row) for row in cosines) / 10
    assert abs(probe.loss(embeddings).item() - expected) < 1e-12
    assert probe.clusters_in_use == len({row.index(max(row)) for row in cosines})


def test_scale_changes_nothing():
    probe, embeddings = ClusterProbe(4, 3), torch.randn(6, 3)
    torch.testing.assert_close(probe.loss(embeddings), probe.loss(embeddings * torch.rand(6, 1).add(0.1)))


def test_gradient_reaches_the_centres_in_use_alone():
    probe, embeddings = ClusterProbe(3, 2), torch.tensor([[1.0, 0.1], [0.1, 1.0]], requires_grad=True)
    with torch.no_grad():
        probe.centres.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]))
    probe.loss(embeddings).backward()
    assert embeddings.grad is None
    assert (probe.centres.grad.abs().sum(-1) > 0).tolist() == [True, True, False]


def test_centres_find_separate_kinds():
    torch.manual_seed(0)
    features, truth = clustered_features(16)
    features, probe = torch.from_numpy(features).float(), ClusterProbe(3, features.shape[-1])
    optimizer = torch.optim.Adam(probe.parameters(), 0.05)
    for _ in range(100):
        optimizer.zero_grad()
        probe.loss(features).backward()
        optimizer.step()
    weights, bias = probe.classifier()
    found = (features @ weights.T + bias).argmax(-1)
    torch.testing.assert_close(weights.norm(dim=-1), torch.ones(3))
    assert len(set(zip(found.flatten().tolist(), truth.flatten().tolist(), strict=True))) == probe.clusters_in_use == 3
