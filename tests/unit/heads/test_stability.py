"""Advice on the number of clusters."""

import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from smooseg.cli import main
from smooseg.errors import SmoosegError
from smooseg.features.store import open_store
from smooseg.heads.smooseg_plus.stability import cluster_stability, peaks
from tests.conftest import clustered_features, make_store

BUDGET, KINDS = 10**9, 3


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("choosing") / "s.zarr"
    make_store(path, clustered_features(64, kinds=KINDS)[0], model="vit_small_patch14_dinov2.lvd142m")
    return open_store(path, {})


def test_other_stores_and_few_views_are_refused(tmp_path):
    make_store(tmp_path / "labels.zarr", clustered_features(64)[0])
    make_store(tmp_path / "few.zarr", clustered_features(32)[0], model="m")
    for name, message in (("labels", "holds no features"), ("few", "has 32 views, too few")):
        with pytest.raises(SmoosegError, match=message):
            cluster_stability(open_store(tmp_path / f"{name}.zarr", {}), [2], subtract_mean=False, budget=BUDGET)


def test_the_true_number_of_kinds_is_the_most_stable(store):
    table = cluster_stability(store, range(2, 7), subtract_mean=True, budget=BUDGET)
    assert peaks(table)[0] == KINDS
    assert table["stability"].max() > 0.9
    again = cluster_stability(store, range(2, 7), subtract_mean=True, budget=BUDGET)
    pd.testing.assert_frame_equal(table, again)


def test_peaks_are_above_both_neighbours_and_sorted():
    table = pd.DataFrame({"clusters": [2, 3, 4, 5, 6, 7], "stability": [0.5, 0.7, 0.4, 0.8, 0.6, 0.9]})
    assert peaks(table) == [5, 3]  # not 7: the curve may rise beyond it


def test_the_command_prints_a_table_and_draws_it(store, tmp_path):
    figure = tmp_path / "k.png"
    result = CliRunner().invoke(main, ["clusters", str(store.path), "--to", "5", "--out", str(figure)])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "clusters,stability,stability_sd"
    assert len(lines) == 5
    assert "most stable: 3" in result.stderr
    assert Image.open(figure).width > 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.zarr"], "absent.zarr: there is no store"),
        (["absent.zarr", "--from", "9", "--to", "3"], "above --to 3"),
    ],
)
def test_what_cannot_be_done_is_said(arguments, message):
    result = CliRunner().invoke(main, ["clusters", *arguments])
    assert result.exit_code != 0
    assert message in result.output
