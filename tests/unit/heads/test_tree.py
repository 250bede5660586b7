"""Trees of clusters: numbers that cuts keep, and a head that is cut anywhere."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from smooseg.errors import SmoosegError
from smooseg.evaluation.segmentation import averaged_embeddings, pixel_logits
from smooseg.features.store import open_store
from smooseg.heads import HEADS, load_head, save_head
from smooseg.heads.inputs import picture_numbers
from smooseg.heads.registry import build_head, head_facts
from smooseg.heads.smooseg_plus.tree import chain, finish_tree, groups, number_clusters
from tests.conftest import clustered_features, make_store
from tests.support.heads import plus_settings

KINDS, BUDGET = 3, 10**9


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("tree") / "s.zarr"
    make_store(path, clustered_features(16, kinds=KINDS)[0], model="m")
    return open_store(path, {})


@pytest.fixture(scope="module")
def head(store):
    return HEADS["smooseg_plus"].fit(store, KINDS, plus_settings(), seed=0, budget=BUDGET)[0]


def random_tree(finest: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and sizes, as merging leaves them."""
    rng, left, steps = np.random.default_rng(seed), list(range(finest)), []
    while len(left) > 1:
        kept, gone = sorted(rng.choice(left, 2, replace=False).tolist())
        steps.append((kept, gone))
        left.remove(gone)
    return np.array(steps), rng.integers(1, 100, finest)


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_keeps_the_numbers_of_every_coarser_one(seed):
    steps, sizes = random_tree(9, seed)
    numbers, merges = number_clusters(steps, sizes)
    shares = np.empty(9)
    shares[numbers] = sizes
    assert groups(merges, 9).tolist() == list(range(9))
    for clusters in range(1, 9):
        coarse, fine = groups(merges, clusters), groups(merges, clusters + 1)
        assert set(coarse) == set(range(clusters))
        changed = np.flatnonzero(coarse != fine)
        assert set(fine[changed]) == {clusters}
        (split,) = set(coarse[changed])
        assert shares[fine == split].sum() >= shares[fine == clusters].sum()


def test_merges_are_those_of_the_steps():
    numbers, merges = number_clusters(np.array([(1, 2), (0, 1)]), np.array([1, 5, 6]))
    assert numbers.tolist() == [1, 2, 0]  # 1 and 2 together are largest, and 2 of them
    assert merges.tolist() == [[0, 2], [1, 3]]
    assert groups(chain(4), 2).tolist() == [0, 1, 0, 0]


def test_what_was_not_found_is_empty_and_joins_first():
    tree = finish_tree(np.array([0, 1, 1]), np.array([(0, 1)]), np.array([0.5]), 4)
    assert tree.sizes.tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert tree.heights.tolist() == [0, 0, 0.5]
    assert tree.labels.tolist() == [1, 0, 0]
    assert sorted(groups(tree.merges, 2)[:2].tolist()) == [0, 1]
    alone = finish_tree(np.zeros(3, int), np.empty((0, 2), int), np.empty(0), 3)
    assert alone.sizes.tolist() == [1, 0, 0]


def test_masks_of_all_cuts_nest(head, store):
    features = torch.from_numpy(store.read(0, 4))
    grid = averaged_embeddings(head, features)[0]
    finest = pixel_logits(head.cut(head.finest), grid, 20).argmax(0)
    patches = head.cut(head.finest).logits(head.embed(features)).argmax(-1)
    for clusters in head.cuts:
        belongs, one = torch.from_numpy(head.groups(clusters)), head.cut(clusters)
        logits = pixel_logits(one, grid, 20)
        assert logits.shape == (clusters, 20, 20)
        assert (logits.argmax(0) == belongs[finest]).all()
        assert (one.logits(one.embed(features)).argmax(-1) == belongs[patches]).all()
        assert one.raw_centres().shape == (clusters, head.projection.shape[1])


def test_a_cut_leaves_the_head_as_it_was(head):
    assert head.cut(7).clusters == 7
    assert head.clusters == KINDS
    assert head.finest == 32
    assert head.sizes.sum() == pytest.approx(1)


def test_fits_of_one_seed_are_the_same_whatever_cut_is_asked(head, store):
    again, history = HEADS["smooseg_plus"].fit(store, 5, plus_settings(), seed=0, budget=BUDGET)
    assert history["clusters"].tolist() == [5]
    for name, tensor in head.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_auto_takes_what_pictures_show(store):
    def chosen(**inputs):
        return HEADS["smooseg_plus"].fit(store, "auto", plus_settings(repeats=1), seed=0, budget=BUDGET, **inputs)[0]

    views, halves = chosen(), chosen(pictures=np.arange(16) // 8)
    assert views.clusters == round(float(views.contents) + 1)
    assert halves.contents > views.contents  # pictures of more views show more


def test_more_clusters_than_the_finest_are_held(store):
    head, _ = HEADS["smooseg_plus"].fit(store, 40, plus_settings(repeats=1), seed=0, budget=BUDGET)
    assert head.finest == head.clusters == 40


def test_what_a_head_does_not_hold_is_said(head, store):
    for one, clusters, message in (
        (head, 33, "the head holds 2 to 32 clusters, not 33"),
        (head, 1, "the head holds 2 to 32 clusters, not 1"),
        (HEADS["smooseg_plus"](8, 3, plus_settings(partitions=0)), 4, "holds 3 clusters, not 4; fit a smooseg_plus"),
    ):
        with pytest.raises(SmoosegError, match=message):
            one.cut(clusters)
    with pytest.raises(SmoosegError, match="which must be given"):
        HEADS["smooseg_plus"].fit(store, "auto", plus_settings(partitions=0), seed=0, budget=BUDGET)


def test_a_cut_is_saved_with_the_whole_tree(head, tmp_path):
    save_head(head.cut(5), "smooseg_plus", {}, tmp_path / "h.safetensors")
    loaded, _ = load_head(tmp_path / "h.safetensors")
    assert (loaded.clusters, loaded.finest) == (5, head.finest)
    assert (loaded.groups(9) == head.groups(9)).all()
    assert build_head(head_facts(loaded)).raw_centres().shape[0] == 5


def test_heads_of_earlier_versions_are_read_and_have_no_tree(tmp_path):
    path = tmp_path / "old.safetensors"
    old = {"temperature": 0.12, "dimensions": None, "partitions": 24, "finest": 1.5, "exponent": 0.5, "repeats": 7}
    old |= {"relabellings": 3, "views": 5000, "samples": 30000, "starts": 8, "subtract_mean": False}
    facts = {"head": "smooseg_plus", "channels": 40, "clusters": 3, "settings": old, "experiment": {}}
    torch.manual_seed(0)
    state = {"mean": torch.zeros(40), "projection": torch.randn(40, 40)}
    state |= {"weights": torch.randn(3, 40), "bias": torch.randn(3)}
    save_file(state, path, {"smooseg": json.dumps(facts)})
    loaded, _ = load_head(path)
    assert loaded.cuts == range(3, 4)
    features = torch.randn(7, 40)
    directions = torch.nn.functional.normalize(features @ state["projection"], dim=-1)
    assert torch.equal(loaded.logits(loaded.embed(features)), directions @ state["weights"].T + state["bias"])
    save_head(loaded, "smooseg_plus", {}, Path(tmp_path / "again.safetensors"))
    assert load_head(tmp_path / "again.safetensors")[0].merges is None


def test_crops_of_a_picture_are_one_and_windows_of_a_raster_are_several(tmp_path):
    rows = pd.DataFrame({"image": ["a", "a", "b", "c", "c"], "raster": ["", "", "", "{}", "{}"]})
    rows.to_parquet(tmp_path / "mixed.parquet")
    rows.drop(columns="raster").to_parquet(tmp_path / "plain.parquet")
    assert picture_numbers(tmp_path / "mixed.parquet").tolist() == [0, 0, 1, 2, 3]
    assert picture_numbers(tmp_path / "plain.parquet").tolist() == [0, 0, 1, 2, 2]
