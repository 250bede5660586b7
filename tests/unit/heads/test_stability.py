"""Advice on the number of clusters."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sklearn.metrics import adjusted_rand_score

from smooseg.cli import main
from smooseg.errors import SmoosegError
from smooseg.features.store import open_store
from smooseg.heads import HEADS, save_head
from smooseg.heads.smooseg_plus import advice
from smooseg.heads.smooseg_plus.advice import advising_head
from smooseg.heads.smooseg_plus.stability import (
    agreement,
    contents,
    cut_table,
    explain,
    least_clusters,
    rand_index,
    recommend,
    smoothness,
)
from smooseg.heads.smooseg_plus.tree import chain, groups
from smooseg.settings.schema import load_schema, validate
from tests.conftest import clustered_features, make_store

BUDGET, KINDS = 10**9, 3


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("choosing") / "s.zarr"
    make_store(path, clustered_features(64, kinds=KINDS)[0], model="vit_small_patch14_dinov2.lvd142m")
    return open_store(path, {})


@pytest.fixture(scope="module", autouse=True)
def few_trees():
    """Defaults that take a second."""

    def schema():
        found = load_schema()
        for name, value in (("repeats", 2), ("partitions", 16)):
            found["$defs"]["heads"]["smooseg_plus"]["properties"][name]["default"] = value
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(advice, "load_schema", schema)
        yield


@pytest.fixture(scope="module")
def head(store):
    return advising_head(store, None, subtract_mean=True, budget=BUDGET)


def test_other_stores_are_refused(tmp_path):
    make_store(tmp_path / "labels.zarr", clustered_features(64)[0])
    with pytest.raises(SmoosegError, match="holds no features"):
        advising_head(open_store(tmp_path / "labels.zarr", {}), None, subtract_mean=False, budget=BUDGET)


def test_the_rand_index_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    one, other = rng.integers(4, size=200), rng.integers(3, size=200)
    other[:120] = one[:120] % 3
    table = np.bincount(one * 3 + other, minlength=12).reshape(4, 3).astype(float)
    assert rand_index(table) == pytest.approx(adjusted_rand_score(one, other))
    assert rand_index(np.diag([7.0, 5])) == 1
    assert rand_index(np.array([[9.0]])) == 1


def test_agreement_is_of_the_cuts_clusters():
    merges = chain(3)  # 1 and 2 part from 0 one after the other
    labels, other = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 2, 2, 1, 1])
    found = agreement([(labels, merges), (other, merges)], [2, 3])
    coarse = adjusted_rand_score(groups(merges, 2)[labels], groups(merges, 2)[other])
    np.testing.assert_allclose(found[:, 0, 1], [coarse, 1])
    np.testing.assert_allclose(found, found.transpose(0, 2, 1))
    assert not found[:, [0, 1], [0, 1]].any()


def test_smoothness_is_of_neighbours_and_of_any_two():
    maps = np.array([[[0, 0, 2], [0, 0, 2]]])  # 7 pairs of neighbours, 2 of them with a border between them
    np.testing.assert_allclose(smoothness(maps, chain(3)), [(1, 1), (5 / 7, 5 / 9)])  # 2 and 0 are one at first


def test_every_cut_is_measured(head):
    table = cut_table(head.worth.numpy())
    assert table["clusters"].tolist() == list(head.cuts)
    assert table["agreement"][KINDS - 2] > 0.9
    assert (table["within"].diff()[1:] <= 1e-6).all()
    assert (table["between"].diff()[1:] <= 1e-6).all()


@pytest.mark.parametrize("of", ["features", "head"])
def test_the_command_prints_a_table_and_draws_it(of, store, head, tmp_path):
    figure, path = tmp_path / "k.png", store.path
    if of == "head":
        save_head(head, "smooseg_plus", {}, path := tmp_path / "head.safetensors")
    result = CliRunner().invoke(main, ["clusters", str(path), "--to", "5", "--out", str(figure)])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "clusters,agreement,within,between,smooth"
    assert [line.split(",")[0] for line in lines[1:]] == ["2", "3", "4", "5"]
    assert result.stderr.splitlines()[-1].startswith(f"recommended: {head.clusters} clusters")
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


def test_a_head_without_a_tree_is_refused(store, tmp_path):
    schema = load_schema()
    settings = validate({}, schema["$defs"]["heads"]["kmeans"], schema, "settings")
    save_head(HEADS["kmeans"](32, 3, settings), "kmeans", {}, tmp_path / "head.safetensors")
    result = CliRunner().invoke(main, ["clusters", str(tmp_path / "head.safetensors")])
    assert result.exit_code != 0
    assert "holds 3 clusters only" in result.output


def test_a_picture_shows_as_many_clusters_as_its_shares_say():
    counts = np.array([[5, 5, 0, 0], [7, 0, 0, 0]])
    assert contents(counts, chain(4)) == pytest.approx((2 + 1) / 2)
    assert contents(np.array([[1, 0, 0, 9], [9, 0, 0, 1]]), chain(4)) < 1.5


@pytest.mark.parametrize(("shown", "number"), [(0.2, 2), (4.4, 5), (4.6, 6), (90.0, 24)])
def test_one_cluster_more_than_a_picture_shows_is_recommended(shown, number):
    assert recommend(shown, 24) == number
    assert explain(shown, 24).startswith(f"recommended: {number} clusters: one more than a picture shows")


def test_few_pictures_get_clusters_that_divide_them():
    counts = np.array([[0, 0, 5, 5], [5, 0, 5, 0]])  # each picture is one cluster until three are told apart
    assert least_clusters(counts, chain(4)) == 3
    assert least_clusters(np.repeat(counts, 20, axis=0), chain(4)) == 2  # of 40 pictures nothing is asked
    assert least_clusters(np.diag([9, 9, 9, 9]), chain(4)) == 2  # no number divides these
    assert recommend(2.0, 24, 8) == 8
    assert explain(2.0, 24, 8).startswith("recommended: 8 clusters: with fewer, most of these pictures are a single")
