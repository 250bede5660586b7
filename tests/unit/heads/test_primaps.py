"""PriMaPs-EM: both steps against their formulas, what is trained when, and the head that it is put on."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from smooseg.errors import SmoosegError
from smooseg.features.joined import Joined
from smooseg.features.reader import shuffled_batches
from smooseg.features.store import open_store
from smooseg.heads import HEADS, load_head, primaps, save_head
from smooseg.heads.base import Head
from smooseg.heads.parts.projected import ProbedHead
from smooseg.heads.primaps import (
    PrimapsHead,
    focal_loss,
    kept_pixels,
    mask_labels,
    principal_directions,
    upsample,
)
from tests.conftest import ROOT, clustered_features, make_store
from tests.support.heads import BUDGET, KINDS, settings
from tests.support.heads import data as data  # a fixture
from tests.support.heads import masks as masks  # a fixture


@given(st.integers(0, 10**6), st.integers(1, 5))
@tries(max_examples=20, deadline=None)
def test_each_mask_gets_the_cluster_of_most_of_its_pixels(seed, number):
    rng = np.random.default_rng(seed)
    clusters, ids = rng.integers(0, number, (3, 4, 4)), rng.choice([0, 1, 7, 254, 255], (3, 4, 4))
    found = mask_labels(torch.from_numpy(clusters), torch.from_numpy(ids.astype(np.uint8)), number)
    for view in range(3):
        for mask in np.unique(ids[view]):
            inside = ids[view] == mask
            expected = 255 if mask == 255 else np.bincount(clusters[view][inside]).argmax()
            assert (found[view].numpy()[inside] == expected).all()


def test_the_loss_is_its_definition():
    torch.manual_seed(0)
    logits, labels = 3 * torch.randn(2, 4, 3, 3, dtype=torch.float64), torch.randint(0, 4, (2, 3, 3))
    labels[0, 1] = 255
    pixels = [(v, i, j) for v in range(2) for i in range(3) for j in range(3)]
    confidence, expected = np.zeros(4), 0.0
    for v, i, j in pixels:
        odds = np.exp(logits[v, :, i, j].numpy())
        confidence += odds / odds.sum() / len(pixels)
    for v, i, j in pixels:
        if (label := int(labels[v, i, j])) != 255:
            odds = np.exp(logits[v, :, i, j].numpy())
            expected -= (1 - confidence[label]) ** 2 * np.log(odds[label] / odds.sum()) / len(pixels)
    assert float(focal_loss(logits, labels, 2)) == pytest.approx(expected)


def test_no_gradient_leaves_through_the_weights():
    torch.manual_seed(0)
    logits, labels = torch.randn(1, 3, 2, 2, requires_grad=True), torch.randint(0, 3, (1, 2, 2))
    focal_loss(logits, labels, 2).backward()
    confidence = logits.detach().softmax(1).mean((0, 2, 3))
    weighted = ((1 - confidence) ** 2)[labels] * (logits.detach().softmax(1) - F.one_hot(labels).movedim(3, 1))
    torch.testing.assert_close(logits.grad, weighted / 4)


@given(st.floats(0, 4), st.integers(0, 10**6))
@tries(max_examples=20, deadline=None)
def test_a_larger_exponent_never_gives_a_larger_loss(exponent, seed):
    generator = torch.Generator().manual_seed(seed)
    logits, labels = torch.randn(2, 3, 2, 2, generator=generator), torch.randint(0, 3, (2, 2, 2), generator=generator)
    losses = [float(focal_loss(logits, labels, gamma)) for gamma in (0, exponent, exponent + 1)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)


def test_logits_of_patches_upsampled_are_those_of_upsampled_embeddings():
    torch.manual_seed(0)
    embeddings, magnitudes, directions = torch.randn(2, 9, 5), torch.rand(4), torch.randn(4, 5)
    grids = F.interpolate(embeddings.mT.unflatten(2, (3, 3)), 21, mode="bilinear", align_corners=False)
    expected = torch.einsum("k,kd,vdij->vkij", magnitudes, directions / directions.norm(dim=1, keepdim=True), grids)
    torch.testing.assert_close(upsample(embeddings, magnitudes, directions, 21), expected)


@pytest.mark.parametrize(("patch", "points", "expected"), [(4, 2, [1, 3, 5, 7]), (3, 1, [1, 4]), (2, None, range(4))])
def test_pixels_that_are_kept_lie_in_the_middle_of_equal_parts_of_a_patch(patch, points, expected):
    assert kept_pixels(2, patch, points).tolist() == list(expected)
    assert kept_pixels(2, patch, 99).tolist() == list(range(2 * patch))


@pytest.mark.parametrize("budget_chunks", [100, 3])
@pytest.mark.parametrize("points", [1, 2, 3])
def test_maps_stay_with_their_views(tmp_path, budget_chunks, points):
    ids = np.arange(37, dtype=np.uint8)
    make_store(tmp_path / "f.zarr", np.broadcast_to(ids[:, None, None], (37, 4, 3)).astype(np.float16), 8)
    maps = ids[:, None, None] + np.arange(36, dtype=np.uint8).reshape(6, 6)
    make_store(tmp_path / "m.zarr", maps, 4)
    pixels = kept_pixels(2, 3, points)
    joined = Joined(open_store(tmp_path / "f.zarr", {}), open_store(tmp_path / "m.zarr", {}), pixels)
    batches, seen = shuffled_batches(joined, 5, budget_chunks * joined.chunk * joined.row_bytes, 0), []
    for _ in range(15):
        features, found = joined.parts(next(batches))
        views = features[:, 0, 0].numpy().astype(int)
        assert (features.numpy() == views[:, None, None]).all()
        assert (found.numpy() == maps[views][:, pixels][:, :, pixels]).all()
        seen += views.tolist()
    assert sorted(seen[:37]) == list(range(37))


def test_principal_directions_are_those_of_the_covariance(data):
    head = PrimapsHead(32, KINDS, settings("primaps"))
    found = principal_directions(head, data[0], 5, 10**6, BUDGET, 0).double()
    rows = data[1].flatten(0, 1).double()
    expected = np.linalg.svd((rows - rows.mean(0)).numpy(), full_matrices=False)[2][:5]
    np.testing.assert_allclose(np.abs((found.numpy() * expected).sum(1)), 1, atol=1e-3)
    assert (found.gather(1, found.abs().argmax(1, keepdim=True)) > 0).all()


def test_more_clusters_than_dimensions_are_one_sentence(data, masks):
    with pytest.raises(SmoosegError, match="33 clusters need embeddings of as many dimensions; these have 32"):
        HEADS["primaps"].fit(data[0], 33, settings("primaps"), seed=0, budget=BUDGET, proposals=masks)


def test_k_means_comes_first_and_moves_directions_alone(data, masks):
    baseline, trained = (
        HEADS["primaps"].fit(data[0], KINDS, settings("primaps", steps=steps), seed=0, budget=BUDGET, proposals=masks)[
            0
        ]
        for steps in (0, 30)
    )
    for prototypes in (baseline.running, baseline.average):
        assert torch.equal(prototypes, baseline.start)
    assert (baseline.magnitude == 1).all() and (baseline.magnitudes == 1).all()
    assert torch.equal(trained.start, baseline.start)
    assert not torch.equal(trained.running, baseline.start)
    assert (trained.magnitude != 1).all()


def test_the_average_is_a_copy_then_a_mean_then_moves_slowly():
    head = PrimapsHead(2, 1, settings("primaps", start_steps=0))
    head.after_step()
    seen = []
    for move in range(1, 121):
        with torch.no_grad():
            head.running.fill_(float(move))
        for _ in range(9):
            head.after_step()
        before = float(head.average[0, 0])
        head.after_step()  # the step after every tenth
        assert before == (seen[-1] if seen else 0)
        seen.append(float(head.average[0, 0]))
    assert seen[:2] == [1, 2]
    assert seen[2] == pytest.approx(2 * 2 / 3 + 3 / 3)
    assert seen[49] == pytest.approx((2 * 2 + sum(range(3, 51))) / 50)  # a mean in which the second counts twice
    assert seen[100] == pytest.approx(0.98 * seen[99] + 0.02 * 101)


def test_the_average_predicts_and_the_trained_prototypes_of_a_saved_head_that_says_so(data, masks):
    head, _ = HEADS["primaps"].fit(data[0], KINDS, settings("primaps"), seed=0, budget=BUDGET, proposals=masks)
    averaged, _ = head.classifier()
    head.settings = head.settings | {"prototypes": "running"}
    running, bias = head.classifier()
    torch.testing.assert_close(running, head.magnitude[:, None] * F.normalize(head.running, dim=1))
    torch.testing.assert_close(averaged, head.magnitudes[:, None] * F.normalize(head.average, dim=1))
    assert not torch.equal(averaged, running)
    embeddings = head.embed(data[1])
    torch.testing.assert_close(head.logits(embeddings), embeddings @ running.T)  # no cosine
    assert not bias.any()


@pytest.fixture(scope="module")
def stego(data) -> Head:
    head, _ = HEADS["stego"].fit(data[0], KINDS, settings("stego", steps=5), seed=0, budget=BUDGET)
    return head


def test_on_another_head_it_begins_as_that_and_holds_it(data, masks, stego, tmp_path):
    before = {key: value.clone() for key, value in stego.state_dict().items()}
    made = {"seed": 0, "budget": BUDGET, "proposals": masks, "base": stego}
    head, _ = HEADS["primaps"].fit(data[0], KINDS, settings("primaps", steps=1, lr=1e-9), **made)
    embeddings = stego.embed(data[1])
    torch.testing.assert_close(head.embed(data[1]), embeddings)
    expected = embeddings @ F.normalize(stego.centroids, dim=1).T
    torch.testing.assert_close(head.logits(embeddings), expected, atol=1e-4, rtol=1e-4)
    trained, _ = HEADS["primaps"].fit(data[0], KINDS, settings("primaps"), **made)
    assert all(torch.equal(before[key], value) for key, value in stego.state_dict().items())
    save_head(trained, "primaps", {}, tmp_path / "head.safetensors")
    loaded, _ = load_head(tmp_path / "head.safetensors")
    with torch.no_grad():
        assert torch.equal(loaded.logits(loaded.embed(data[1])), trained.logits(trained.embed(data[1])))


def test_a_base_of_other_clusters_is_one_sentence(data, masks, stego):
    with pytest.raises(SmoosegError, match="a primaps head of 4 clusters cannot be put on one of 3"):
        HEADS["primaps"].fit(data[0], 4, settings("primaps"), seed=0, budget=BUDGET, proposals=masks, base=stego)


def test_masks_lead_where_k_means_does_not(tmp_path):
    """Two kinds that every mask tells apart and that k-means mixes: EM does better than what it begins with."""
    features, truth = clustered_features(48, kinds=2)
    features[..., :3] += 6 * np.random.default_rng(0).normal(size=(*truth.shape, 3)).astype(np.float16)  # of no kind
    make_store(tmp_path / "f.zarr", features)
    make_store(tmp_path / "m.zarr", truth.astype(np.uint8).reshape(-1, 4, 4), 8)
    made = {"seed": 0, "budget": BUDGET, "proposals": open_store(tmp_path / "m.zarr", {})}
    right = []
    for steps in (0, 300):
        changed = settings("primaps", steps=steps, batch=16, subtract_mean=True)
        head, _ = HEADS["primaps"].fit(open_store(tmp_path / "f.zarr", {}), 2, changed, **made)
        with torch.no_grad():
            share = (head.logits(head.embed(torch.from_numpy(features))).argmax(-1).numpy() == truth).mean()
        right.append(max(share, 1 - share))
    assert right[1] > right[0] + 0.1


class Given(ProbedHead):
    """A head whose embeddings are the features and whose centres are given."""

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        return features

    def learn(self, store, *, seed, budget, snapshot):
        raise NotImplementedError


@pytest.fixture(scope="module")
def released() -> dict[str, torch.Tensor]:
    """What the released code computes in ten steps of EM, with an average that moves every other step."""
    with np.load(ROOT / "tests" / "reference" / "heads" / "primaps.npz") as values:
        return {name: torch.from_numpy(values[name]) for name in values}


def started(released: dict[str, torch.Tensor], start: str) -> PrimapsHead:
    """A head before its first step: alone, or put on one whose centres are the released base's."""
    head = PrimapsHead(12, 5, settings("primaps", start_steps=0))
    if start == "base":
        base = Given(12, 5, {"dimensions": 12})
        base.probe.centres.data.copy_(released["base_start"])
        head.put_on(base)
    else:
        for prototypes in (head.running.data, head.average):
            prototypes.copy_(released["em_start"])
    return head


@pytest.mark.parametrize(("start", "features"), [("em", "em_features"), ("base", "em_features_base")])
def test_ten_steps_of_em_are_the_released_ones(released, monkeypatch, start, features):
    monkeypatch.setattr(primaps, "EVERY", 2)
    head, labels = started(released, start), []
    monkeypatch.setattr(primaps, "mask_labels", lambda *of: labels.append(mask_labels(*of)) or labels[-1])
    optimizer = head.optimizer()
    for step in range(10):
        loss, _ = head.energy(released[features][step % 2], released["em_masks"][step % 2])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        head.after_step()
        assert torch.equal(labels[-1], released[f"{start}_labels"][step].long())
        found = {
            "losses": loss.detach(),
            "running": head.running.detach(),
            "magnitude": head.magnitude.detach(),
            "average": head.average,
            "average_magnitude": head.magnitudes,
        }
        for name, value in found.items():
            expected = released[f"{start}_{name}"][step]
            torch.testing.assert_close(value, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_prototypes_that_begin_as_directions_alone_turn_slowly(data, masks, stego):
    """A base whose centres have no length of their own: ten steps turn them as little as released centres."""
    made = {"seed": 0, "budget": BUDGET, "proposals": masks, "base": stego}
    head, _ = HEADS["primaps"].fit(data[0], KINDS, settings("primaps", steps=10), **made)
    cosines = F.cosine_similarity(head.running, stego.centroids)
    assert torch.rad2deg(cosines.clamp(max=1).arccos()).max() < 5
