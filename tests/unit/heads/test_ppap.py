"""PPAP: proxies and loss against their formulas, the block that is trained, and what it is loaded from."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from safetensors.torch import load_file

from smooseg.errors import SmoosegError
from smooseg.features.provenance import file_sha256
from smooseg.features.store import Store, open_store
from smooseg.heads import HEADS, load_head, save_head
from smooseg.heads.parts.contrast import contrastive_loss
from smooseg.heads.ppap.head import PpapHead
from smooseg.heads.ppap.next_block import NextBlock
from smooseg.heads.ppap.proxies import masks, propagate, proxy_loss
from tests.conftest import TINY_MODEL, clustered_features, make_store, tiny_checkpoint  # noqa: F401
from tests.support.heads import BUDGET, KINDS, settings
from tests.support.heads import data as data  # a fixture

RELEASED = {"phi": 0.55, "psi": 0.2, "moves": 2, "sigma_positive": 3, "sigma_ambiguous": 3, "temperature": 0.8}
TOKENS, CHANNELS, DEPTH = 1 + 16, 64, 6  # of the tiny model


def units(number: int, dimensions: int, seed: int = 0) -> torch.Tensor:
    """Unit vectors that have something in common."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(0.7 + torch.randn(number, dimensions, generator=generator, dtype=torch.float64), dim=1)


def moved_by_hand(anchor: np.ndarray, features: np.ndarray, s: dict) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives of one anchor, straight from the formulas."""
    phi, psi, proxy = s["phi"], s["psi"], anchor
    mask = features @ proxy > phi
    for _ in range(s["moves"]):
        mean = features[mask].mean(0)
        following = mean / np.linalg.norm(mean)
        gone = 1 - proxy @ following
        psi, phi, proxy = psi + gone / s["sigma_ambiguous"], phi - gone / s["sigma_positive"], following
        mask = features @ proxy > phi
    return mask, features @ proxy < psi


@pytest.mark.parametrize("moves", [0, 1, 3])
def test_proxies_move_as_the_formula_says(moves):
    features, s = units(40, 6), RELEASED | {"moves": moves, "sigma_ambiguous": 2}
    proxies, _, _ = propagate(features[:7], features, s)
    positive, negative = masks(torch.arange(7), features, s)
    for anchor in range(7):
        others = np.arange(40) != anchor
        expected = moved_by_hand(features[anchor].numpy(), features.numpy(), s)
        assert (positive[anchor].numpy() == expected[0] & others).all()
        assert (negative[anchor].numpy() == expected[1] & others).all()
    torch.testing.assert_close(proxies.norm(dim=1), torch.ones(7, dtype=torch.float64))
    assert 0 < positive.sum() < positive.numel() > negative.sum() > 0


@given(st.integers(0, 10**6))
@tries(max_examples=20, deadline=None)
def test_a_patch_that_is_alone_stays_where_it_is(seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.eye(6)[torch.randperm(6, generator=generator)]
    positive, negative = masks(torch.arange(6), features, RELEASED)
    assert torch.equal(propagate(features, features, RELEASED)[0], features)
    assert not positive.any()
    assert torch.equal(negative, ~torch.eye(6, dtype=torch.bool))


def test_the_loss_is_its_definition():
    features, embeddings = units(24, 5).view(3, 8, 5), units(24, 4, 1).view(3, 8, 4)
    index, tau, expected = torch.tensor([[0, 3], [7, 1], [2, 5]]), 0.5, []
    flat, z = features.flatten(0, 1).numpy(), embeddings.flatten(0, 1).numpy()
    for view in range(3):
        losses = []
        for patch in index[view].tolist():
            anchor = 8 * view + patch
            positive, negative = moved_by_hand(flat[anchor], flat, RELEASED)
            chosen = [i for i in range(24) if positive[i] and i != anchor]
            compared = [i for i in range(24) if (positive[i] or negative[i]) and i != anchor]
            total = sum(np.exp(z[anchor] @ z[i] / tau) for i in compared)
            if chosen:
                losses.append(-tau / 0.07 * np.mean([z[anchor] @ z[i] / tau - np.log(total) for i in chosen]))
        expected.append(np.mean(losses))
    loss, share = proxy_loss(5 * features, 3 * embeddings, index, RELEASED | {"temperature": tau})
    assert float(loss) == pytest.approx(np.mean(expected))
    assert 0 < float(share) < 1


def test_anchors_without_a_positive_add_nothing():
    anchors, none = units(3, 4).requires_grad_(), torch.zeros(3, 5, dtype=torch.bool)
    loss = contrastive_loss(anchors, units(5, 4, 1), none, ~none, 0.8)
    loss.backward()
    assert loss.item() == 0
    assert not anchors.grad.any()
    one = none.clone()
    one[1, 2] = True
    alone = contrastive_loss(anchors[1:2], units(5, 4, 1), one[1:2], ~none[1:2], 0.8)
    torch.testing.assert_close(contrastive_loss(anchors, units(5, 4, 1), one, ~none, 0.8), alone)


def test_nothing_is_learnt_of_the_clusters_by_what_they_follow(data):
    head = PpapHead(32, KINDS, settings("ppap"))
    for part, decoder, probe in (("cluster", False, True), ("contrast", True, False)):
        head.zero_grad(set_to_none=True)
        head.energy(data[1][:4], None, torch.Generator().manual_seed(0))[1][part].backward()
        assert (head.decoder.linear.weight.grad is not None) == decoder
        assert (head.projection.weight.grad is not None) == decoder
        assert (head.probe.centres.grad is not None) == probe


@pytest.fixture
def tokens(tmp_path, tiny_checkpoint) -> Store:
    """Tokens that enter the tiny model's last block."""
    features, _ = clustered_features(20, TOKENS, CHANNELS)
    facts = {"model": TINY_MODEL, "block": -2, "prefix": 1, "weights_sha256": file_sha256(tiny_checkpoint)}
    make_store(tmp_path / "t.zarr", features, **facts)
    return open_store(tmp_path / "t.zarr", {})


def block_settings(**changes) -> dict:
    return settings("ppap", decoder="block", steps=3, lr=1e-3, **changes)


def fit_block(tokens: Store, weights: Path, **changes) -> PpapHead:
    return HEADS["ppap"].fit(tokens, KINDS, block_settings(**changes), seed=0, budget=BUDGET, weights=weights)[0]


def test_the_block_after_the_cached_one_goes_on_as_the_backbone_does(tiny_checkpoint):
    model = timm.create_model(TINY_MODEL, num_classes=0).eval()
    model.load_state_dict(load_file(tiny_checkpoint))
    images = torch.randn(2, 3, 160, 160)
    (entering, prefix), (patches, _) = model.forward_intermediates(
        images,
        indices=[DEPTH - 2, DEPTH - 1],
        norm=False,
        output_fmt="NLC",
        intermediates_only=True,
        return_prefix_tokens=True,
    )
    block = NextBlock(TINY_MODEL, -2, tiny_checkpoint)
    with torch.no_grad():
        found, last = block(torch.cat([prefix, entering], 1)), model.forward_features(images)[:, 1:]
    torch.testing.assert_close(found, last, atol=1e-5, rtol=1e-4)  # the last block: with the final norm
    before = NextBlock(TINY_MODEL, DEPTH - 3, tiny_checkpoint)
    assert isinstance(before.norm, torch.nn.Identity)
    assert patches.shape == found.shape


def test_the_block_is_trained_and_the_norm_is_not(tokens, tiny_checkpoint, tmp_path):
    head = fit_block(tokens, tiny_checkpoint, subtract_mean=True)
    published = NextBlock(TINY_MODEL, -2, tiny_checkpoint)
    trained = dict(head.decoder.named_parameters())
    for name, value in published.named_parameters():
        assert torch.equal(trained[name], value) == name.startswith("norm.")
    features = torch.from_numpy(tokens.read(0, 20)).float()
    with torch.no_grad():
        torch.testing.assert_close(head.shift, published(features).mean((0, 1)), atol=1e-4, rtol=1e-4)
        assert head.embed(features).shape == (20, 16, CHANNELS)
        save_head(head, "ppap", {}, tmp_path / "head.safetensors")
        loaded, _ = load_head(tmp_path / "head.safetensors")  # by itself: the weights file is not needed
        assert torch.equal(loaded.logits(loaded.embed(features)), head.logits(head.embed(features)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"block": [3, 4]}, r"holds blocks \[3, 4\], where the decoder goes on from one"),
        ({"block": -1}, "no block follows block -1"),
        ({"weights_sha256": "another"}, "was made with other weights"),
    ],
)
def test_caches_that_no_block_can_follow_are_one_sentence(tokens, tiny_checkpoint, changes, said):
    tokens.provenance |= changes
    with pytest.raises(SmoosegError, match=said):
        fit_block(tokens, tiny_checkpoint)


def test_networks_whose_blocks_need_more_than_tokens_are_one_sentence():
    for model in ("resnet18", "vit_small_patch16_dinov3.lvd1689m"):
        with pytest.raises(SmoosegError, match=f"{model}: its blocks do not go on from tokens alone"):
            NextBlock(model, -2, None)
