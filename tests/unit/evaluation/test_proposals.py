"""Mask proposals: from their definition on small cases, and as a store of all training views."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smooseg.evaluation import proposals as module
from smooseg.evaluation.proposals import principal_direction, proposals, propose_masks, view_masks, with_background
from smooseg.features.store import open_store
from smooseg.images.datasets import open_dataset
from smooseg.images.imaging import read_views
from smooseg.images.indexing import index_views
from smooseg.images.manifests import manifest_sha256
from tests.conftest import ROOT, make_store, write_images
from tests.unit.evaluation.test_refinement import INSTALLED, crf_settings

SIZE, PATCH = 48, 4
SETTINGS = {"threshold": 0.4, "covered": 0.95, "subtract_mean": False}


def random_features(seed: int, patches: int, channels: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.3, 1, (patches, channels)).astype(np.float32)


@pytest.mark.parametrize(("patches", "channels"), [(40, 6), (5, 12), (9, 9)])
def test_the_principal_direction_is_the_first_right_singular_vector(patches, channels):
    features = random_features(1, patches, channels)
    found, centred = principal_direction(features), features.astype(np.float64) - features.mean(0, np.float64)
    expected = np.linalg.svd(centred)[2][0]
    assert np.abs(found @ expected) == pytest.approx(1, abs=1e-5)
    assert not principal_direction(features[:1]).any()


def proposed_by_hand(features: np.ndarray, threshold: float, covered: float) -> list[np.ndarray]:
    """Masks as the paper has them, in float64 and with loops; the sign is that of the largest product."""
    features = features.astype(np.float64)
    number, masks = len(features), []
    unit = [row / np.linalg.norm(row) for row in features]
    free = list(range(number))
    while 1 - len(free) / number < covered:
        rows = features[free]
        direction = np.linalg.svd(rows - rows.mean(0))[2][0]
        first = max(free, key=lambda i: abs(unit[i] @ direction))
        mask = np.zeros(number)
        for i in free:
            if unit[first] @ unit[i] >= threshold:
                mask[i] = unit[first] @ unit[i]
        masks.append(mask)
        free = [i for i in free if mask[i] == 0]
    return masks


@pytest.mark.parametrize(("threshold", "covered"), [(0.4, 0.95), (0.2, 0.5), (0.7, 1.0)])
def test_masks_are_found_as_defined(threshold, covered):
    features = random_features(2, 30, 5)
    found, expected = proposals(features, threshold, covered), proposed_by_hand(features, threshold, covered)
    assert len(found) == len(expected) > 1
    np.testing.assert_allclose(found, expected, atol=1e-5)


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 8), st.sampled_from([0.1, 0.4, 0.9]))
@settings(max_examples=40, deadline=None)
def test_masks_are_disjoint_and_cover_enough(seed, patches, channels, threshold):
    features = random_features(seed, patches, channels)
    features[:: patches // 2 + 1] = 0  # void, or dead
    found = proposals(features, threshold, 0.95)
    assert ((found > 0).sum(0) <= 1).all()  # a covered patch never begins a mask
    assert (found.max(1) == pytest.approx(1)) and ((found >= threshold) | (found == 0)).all()
    assert (found > 0).any(0).mean() >= 0.95
    np.testing.assert_allclose(proposals(-features, threshold, 0.95), found, atol=1e-6)  # directions have no sign


def test_many_patches_without_likeness_stop_at_the_ids_that_there_are():
    assert len(proposals(np.eye(300, dtype=np.float32), 0.4, 1)) == 254


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
