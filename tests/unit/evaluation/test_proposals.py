"""Mask proposals: from their definition on small cases, and as a store of all training views."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smooseg.evaluation import proposals as module
from smooseg.evaluation.proposals import (
    first_patch,
    grow_mask,
    principal_direction,
    proposals,
    propose_masks,
    view_masks,
    with_background,
)
from smooseg.features.store import open_store
from smooseg.images.datasets import open_dataset
from smooseg.images.imaging import read_views
from smooseg.images.indexing import index_views
from smooseg.images.manifests import manifest_sha256
from tests.conftest import ROOT, make_store, write_images
from tests.support.evaluation import INSTALLED, crf_settings

SIZE, PATCH = 48, 4
SETTINGS = {"threshold": 0.4, "covered": 0.95, "ends": "positive", "subtract_mean": False}
ENDS = ["positive", "both"]


@pytest.fixture(scope="module")
def released() -> dict[str, np.ndarray]:
    """What the released code computes from a view of 8 x 8 patches."""
    with np.load(ROOT / "tests" / "reference" / "heads" / "primaps.npz") as values:
        return dict(values)


@pytest.mark.parametrize(("variant", "ends"), [("signed", "positive"), ("symmetric", "both")])
def test_masks_are_the_released_ones(released, monkeypatch, variant, ends):
    directions = iter(released[f"directions_{variant}"])
    monkeypatch.setattr(module, "principal_direction", lambda features: next(directions))
    found = proposals(released["view_features"], 0.4, 0.95, ends)
    assert next(directions, None) is None
    np.testing.assert_allclose(found, released[f"masks_{variant}"], atol=1e-6)
    logits = torch.log_softmax(torch.from_numpy(with_background(found.reshape(-1, 8, 8))), 0)
    np.testing.assert_allclose(logits, released[f"logits_{variant}"], rtol=1e-6)


@pytest.mark.parametrize(("variant", "ends"), [("signed", "positive"), ("symmetric", "both")])
@pytest.mark.parametrize("engine", INSTALLED)
def test_masks_of_pixels_are_the_released_ones(released, monkeypatch, engine, variant, ends):
    directions = iter(released[f"directions_{variant}"])
    monkeypatch.setattr(module, "principal_direction", lambda features: next(directions))
    found = view_masks(
        released["view_features"], released["view_image"], SETTINGS | {"ends": ends}, crf_settings(engine)
    )
    assert (found == released[f"mask_of_pixels_{variant}"]).all()


def test_directions_are_the_released_ones_and_so_is_their_sign(released):
    free = np.ones(64, bool)
    for direction, mask in zip(released["directions_signed"], released["masks_signed"], strict=True):
        np.testing.assert_allclose(principal_direction(released["view_features"][free]), direction, atol=1e-6)
        free &= mask == 0
    np.testing.assert_allclose(
        proposals(released["view_features"], 0.4, 0.95, "positive"), released["masks_signed"], atol=1e-6
    )


def random_features(seed: int, patches: int, channels: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.3, 1, (patches, channels)).astype(np.float32)


@pytest.mark.parametrize(("patches", "channels"), [(40, 6), (5, 12), (9, 9)])
def test_the_principal_direction_is_the_first_right_singular_vector(patches, channels):
    features = random_features(1, patches, channels)
    found, centred = principal_direction(features), features.astype(np.float64) - features.mean(0, np.float64)
    expected = np.linalg.svd(centred)[2][0]
    assert np.abs(found @ expected) == pytest.approx(1, abs=1e-5)
    assert not principal_direction(features[:1]).any()


@pytest.mark.parametrize("shape", [(40, 6), (5, 12), (59, 80), (80, 59), (60, 80), (80, 60)])
def test_the_sign_of_a_direction_is_that_of_the_released_decomposition(shape):
    torch.manual_seed(0)
    for seed in range(3):
        features = random_features(seed, *shape)
        features += 3 * np.outer(random_features(seed, 1, shape[0]), random_features(seed, 1, shape[1]))  # one is first
        theirs = torch.pca_lowrank(torch.from_numpy(features), q=3, niter=100)[2][:, 0].numpy()
        direction = principal_direction(features)
        np.testing.assert_allclose(direction, theirs, atol=1e-4)
        dead = np.concatenate([np.zeros((shape[0], 1), np.float32), features], 1)  # a channel without a sign
        if shape[1] != 59:  # with one channel more it would be 60, and the sign another
            np.testing.assert_allclose(principal_direction(dead)[1:], direction, atol=1e-5)


def test_which_patch_begins_a_mask():
    along, free = np.float32([0.9, -0.8, 0.3, -0.1]), np.array([False, True, True, True])
    assert first_patch(along, free, "positive") == 2
    assert first_patch(along, free, "both") == 1
    behind = np.array([False, True, False, True])
    assert first_patch(along, behind, "positive") == 0  # a covered one, as released
    assert first_patch(along, behind, "both") == 1


def test_a_mask_that_begins_at_a_covered_patch_takes_the_free_ones_that_are_most_like_it():
    units, free = np.float32([[1, 0], [0.6, 0.8], [0.28, 0.96], [0.1, 0.995]]), np.array([False, True, True, True])
    np.testing.assert_allclose(grow_mask(units, free, 0, 0.4), [0, 1, 0.28 / 0.6, 0], atol=1e-6)
    assert not grow_mask(-units, free, 0, 0.4)[0]
    assert not grow_mask(np.eye(4, dtype=np.float32), free, 0, 0.4).any()


def test_masks_end_where_every_free_patch_lies_behind(monkeypatch):
    """A covered patch that nothing free is close to begins no mask; the other end does."""
    monkeypatch.setattr(module, "principal_direction", lambda features: -np.ones(5, np.float32))
    found = proposals(np.eye(5, dtype=np.float32), 0.4, 1, "positive")
    assert (found == np.eye(5)[found.argmax(1)]).all() and sorted(found.argmax(1)) == list(range(5))


def proposed_by_hand(features: np.ndarray, threshold: float, covered: float, ends: str) -> list[np.ndarray]:
    """Masks as the paper has them, in float64 and with loops."""
    features = features.astype(np.float64)
    number, masks = len(features), []
    unit = [row / np.linalg.norm(row) for row in features]
    free = list(range(number))
    while 1 - len(free) / number < covered:
        rows = features[free]
        direction = np.linalg.svd(rows - rows.mean(0))[2][0]
        if (direction if len(rows) < rows.shape[1] else (rows - rows.mean(0)) @ direction)[0] > 0:
            direction = -direction  # few patches: the first number is negative
        products = {i: unit[i] @ direction if i in free else 0 for i in range(number)}
        if ends == "both":
            products = {i: abs(products[i]) for i in free}
        first = max(products, key=products.get)
        cosines = {i: unit[first] @ unit[i] for i in free}
        mask = np.zeros(number)
        for i, cosine in cosines.items():
            if cosine >= threshold * max(cosines.values()):
                mask[i] = cosine / max(cosines.values())
        masks.append(mask)
        free = [i for i in free if mask[i] == 0]
    return masks


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize(("threshold", "covered"), [(0.4, 0.95), (0.2, 0.5), (0.7, 1.0)])
def test_masks_are_found_as_defined(threshold, covered, ends):
    features = random_features(2, 30, 5)
    found = proposals(features, threshold, covered, ends)
    expected = proposed_by_hand(features, threshold, covered, ends)
    assert len(found) == len(expected) > 1
    np.testing.assert_allclose(found, expected, atol=1e-5)


@given(
    st.integers(0, 10**6),
    st.integers(1, 30),
    st.integers(1, 8),
    st.sampled_from([0.1, 0.4, 0.9]),
    st.sampled_from(ENDS),
)
@settings(max_examples=60, deadline=None)
def test_masks_are_disjoint_and_cover_enough(seed, patches, channels, threshold, ends):
    features = random_features(seed, patches, channels)
    features[:: patches // 2 + 1] = 0  # void, or dead
    found = proposals(features, threshold, 0.95, ends)
    assert ((found > 0).sum(0) <= 1).all() and (found > 0).any(1).all()
    assert ((found >= threshold) | (found == 0)).all()
    assert (found > 0).any(0).mean() >= 0.95
    if ends == "both":
        assert found.max(1) == pytest.approx(1)  # a covered patch never begins a mask
        np.testing.assert_allclose(proposals(-features, threshold, 0.95, ends), found, atol=1e-6)


@pytest.mark.parametrize("ends", ENDS)
def test_many_patches_without_likeness_stop_at_the_ids_that_there_are(ends):
    assert len(proposals(np.eye(300, dtype=np.float32), 0.4, 1, ends)) == 254


def test_the_background_is_where_no_mask_is():
    masks = np.zeros((2, 4, 4), np.float32)
    masks[0, :2], masks[1, 3, 3] = 0.05, 1.0  # a row that gain lifts to 0.5, and a patch that the median drops
    found = with_background(masks)
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)), "reflect")
    for i in range(4):
        for j in range(4):
            filtered = [min(10 * np.median(mask[i : i + 3, j : j + 3]), 1) for mask in padded]
            assert found[1:, i, j] == pytest.approx(filtered)
            assert found[0, i, j] == pytest.approx(np.clip(0.5 - sum(filtered), 0, 1))
    assert not found[2].any()
    assert (with_background(np.zeros((1, 3, 3), np.float32))[0] == 1).all()


@pytest.mark.parametrize("rule", ["signed", "symmetric"])
@pytest.mark.parametrize("engine", INSTALLED)
def test_golden_masks_of_pixels(engine, rule, monkeypatch):
    """What the release makes of soft masks: the filter, the background, the CRF on their softmax as it is."""
    golden = np.load(ROOT / "tests" / "reference" / "heads" / "primaps.npz")
    monkeypatch.setattr(module, "proposals", lambda *arguments, **options: golden[f"masks_{rule}"])
    found = view_masks(golden["view_features"], golden["view_image"], SETTINGS, crf_settings(engine))
    np.testing.assert_array_equal(found, golden[f"mask_of_pixels_{rule}"])


def make_case(folder: Path, images: int):
    """Images of two colours, and the mean colours of their patches, about a common colour."""
    write_images(folder / "data", "train", images)
    dataset = open_dataset({"root": folder / "data", "layout": "folder", "classes": ["sky", "ground"], "void": 255})
    manifest = index_views(dataset, "train", "five", SIZE, evaluation=False, workers=1)
    manifest.to_parquet(folder / "views.parquet")
    pixels = read_views(dataset.root, manifest, SIZE, "nearest") / 255.0
    side = SIZE // PATCH
    means = pixels.reshape(len(pixels), side, PATCH, side, PATCH, 3).mean((2, 4)).reshape(len(pixels), -1, 3)
    facts = {"size": SIZE, "resample": "nearest", "manifest_sha256": manifest_sha256(manifest)}
    make_store(folder / "f.zarr", means.astype(np.float16), **facts)
    return open_store(folder / "f.zarr", {}), folder / "views.parquet", dataset.root


def propose(case, path: Path, engine: str, workers: int = 1, **changes) -> np.ndarray:
    features, manifest, root = case
    propose_masks(features, path, "1", manifest, root, SETTINGS | changes, crf_settings(engine), workers=workers)
    return open_store(path, {"manifest_sha256": features.provenance["manifest_sha256"]}).read(0, features.views)


def test_masks_follow_the_edges_of_the_picture(tmp_path):
    case = make_case(tmp_path, 7)
    masks = propose(case, tmp_path / "m.zarr", INSTALLED[0], subtract_mean=True)
    assert masks.shape == (35, SIZE, SIZE) and masks.dtype == np.uint8
    pixels = read_views(case[2], pd.read_parquet(case[1]), SIZE, "nearest").astype(int)
    ground = pixels[..., 1] > pixels[..., 2]  # green, below blue
    right = 0
    for mask, below in zip(masks, ground, strict=True):
        for number in np.unique(mask[mask != 255]):
            up = below[mask == number].sum()
            right += max(up, (mask == number).sum() - up)
    assert right / (masks != 255).sum() > 0.98
    assert (masks != 255).mean() > 0.8
    assert masks[masks != 255].max() >= 1


def test_masks_are_the_same_whoever_computes_them(tmp_path):
    case = make_case(tmp_path, 7)
    found = [
        propose(case, tmp_path / f"{engine}{workers}.zarr", engine, workers)
        for engine, workers in [(INSTALLED[0], 1), (INSTALLED[0], 2), (INSTALLED[-1], 1)]
    ]
    assert (found[0] == found[1]).all()
    assert (found[0] == found[-1]).mean() > 0.999  # engines differ in rounding


def test_masks_that_an_earlier_run_found_are_kept(tmp_path):
    case = make_case(tmp_path, 7)
    masks = propose(case, tmp_path / "m.zarr", INSTALLED[0])
    kept, *_, lost = sorted((tmp_path / "m.zarr").glob("c.*"))
    before = kept.stat().st_mtime_ns
    lost.unlink()
    (tmp_path / "m.zarr" / "complete.json").unlink()
    assert (propose(case, tmp_path / "m.zarr", INSTALLED[0]) == masks).all()
    assert kept.stat().st_mtime_ns == before
    propose(case, tmp_path / "m.zarr", INSTALLED[0], threshold=0.9)  # other settings: all anew
    assert kept.stat().st_mtime_ns != before


def test_a_view_without_contrast_is_one_mask():
    features, pixels = np.ones((16, 3), np.float32), np.full((16, 16, 3), 90, np.uint8)
    assert (view_masks(features, pixels, SETTINGS, crf_settings(INSTALLED[0])) == 0).all()
