"""Scores of every number of clusters."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from smooseg.evaluation.cuts import COLUMNS, score_cuts, score_kmeans
from smooseg.evaluation.states import pixel_scores
from smooseg.features.store import open_store
from smooseg.heads import HEADS
from smooseg.results.plots.cuts import plot_cut_scores
from tests.conftest import clustered_features, make_store
from tests.support.heads import plus_settings

KINDS, BUDGET = 3, 10**9


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Training features, evaluation features of eight images and their labels, and a head."""
    folder = tmp_path_factory.mktemp("cuts")
    features, truth = clustered_features(16, kinds=KINDS)
    side = round(truth.shape[1] ** 0.5)
    make_store(folder / "train.zarr", features, model="m")
    grids = features.reshape(16, side, side, -1)
    pairs = np.stack([grids[:8], grids[:8, :, ::-1]], 1).reshape(16, side * side, -1)
    make_store(folder / "eval.zarr", np.ascontiguousarray(pairs))
    labels = truth[:8].reshape(8, side, side).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    make_store(folder / "labels.zarr", labels, chunk=8)
    train, evaluation, labels = (open_store(folder / f"{name}.zarr", {}) for name in ("train", "eval", "labels"))
    head, _ = HEADS["smooseg_plus"].fit(train, KINDS, plus_settings(), seed=0, budget=BUDGET)
    return train, evaluation, labels, head


def test_a_cuts_scores_are_those_of_the_head_cut_there(case):
    _, features, labels, head = case
    table = score_cuts(head, features, labels, KINDS).set_index("clusters")
    assert table.index.tolist() == list(head.cuts)
    for clusters in (2, 3, 7, 32):
        found = pixel_scores(head.cut(clusters), features, labels, KINDS)
        assert table.loc[clusters, "accuracy"] == found.accuracy
        assert table.loc[clusters, "miou"] == found.miou
    assert table.loc[KINDS, "accuracy"] > 80
    assert table["many_to_one_accuracy"].is_monotonic_increasing


def test_k_means_stands_beside_it_and_both_are_drawn(case, tmp_path):
    train, features, labels, head = case
    how = {"seed": 0, "budget": BUDGET}
    kmeans = score_kmeans(train, features, labels, KINDS, {4, 2, 3}, {"samples": 1000}, **how)
    assert kmeans["clusters"].tolist() == [2, 3, 4]
    assert kmeans.columns.tolist() == COLUMNS
    assert kmeans["accuracy"].between(1, 100).all()
    table = pd.concat([score_cuts(head, features, labels, KINDS), kmeans])
    plot_cut_scores(table, KINDS, head.recommended, "made", tmp_path / "cuts.png")
    assert Image.open(tmp_path / "cuts.png").width > 600
