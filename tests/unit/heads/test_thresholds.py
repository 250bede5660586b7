"""Thresholds that are chosen from features: a fixed rule that repeats."""

import pytest
import torch

from smooseg.errors import SmoosegError
from smooseg.features.store import open_store
from smooseg.heads.smooseg.head import SmooSegHead
from smooseg.heads.smooseg.thresholds import choose_thresholds, sampled_closeness
from smooseg.settings.schema import load_schema, validate
from tests.conftest import clustered_features, make_store

BUDGET = 10**9


def settings(**changes) -> dict:
    schema = load_schema()
    given = {"subtract_mean": True, "steps": 5, "batch": 4, "dimensions": 8} | changes
    return validate(given, schema["$defs"]["heads"]["smooseg"], schema, "settings")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("thresholds") / "s.zarr"
    make_store(path, clustered_features(64)[0])
    return open_store(path, {})


@pytest.fixture(scope="module")
def mean(store):
    return torch.from_numpy(store.read(0, store.views)).float().mean((0, 1))


def test_auto_takes_quantiles_of_the_closeness_within_images(store, mean):
    chosen = choose_thresholds(settings(b1="auto", b2="auto"), store, mean, 0)
    within = sampled_closeness(store, mean, 0)
    assert (within < chosen["b1"]).float().mean() == pytest.approx(0.25, abs=0.01)
    assert (within < chosen["b2"]).float().mean() == pytest.approx(0.95, abs=0.01)


def test_auto_repeats_for_a_seed_and_keeps_what_is_given(store, mean):
    asked = settings(b1="auto", b2=0.3)
    once, again = (choose_thresholds(asked, store, mean, 7) for _ in range(2))
    assert once == again
    assert once["b2"] == 0.3
    assert choose_thresholds(settings(), store, mean, 0) == settings()


def test_sampled_closeness_leaves_out_a_patch_with_itself(store, mean):
    within = sampled_closeness(store, torch.zeros_like(mean), 0)
    patches = min(64, store.shape[1])
    assert within.shape[1] == patches * (patches - 1)


def test_views_of_one_patch_have_no_pairs(store, tmp_path):
    make_store(tmp_path / "s.zarr", clustered_features(32, patches=1)[0])
    with pytest.raises(SmoosegError, match="no pairs to choose b1 from"):
        choose_thresholds(settings(b1="auto"), open_store(tmp_path / "s.zarr", {}), torch.zeros(32), 0)


def test_a_head_records_the_numbers_it_was_trained_with(store):
    head, _ = SmooSegHead.fit(store, 3, settings(b1="auto", b2="auto"), seed=0, budget=BUDGET)
    assert all(isinstance(head.settings[key], float) for key in ("b1", "b2"))


def test_a_subset_of_patches_trains_another_head_and_one_larger_than_a_view_the_same(store):
    whole, subset, more = (
        SmooSegHead.fit(store, 3, settings(patches=patches), seed=0, budget=BUDGET)[0] for patches in (None, 8, 10**6)
    )
    assert torch.equal(whole.student, more.student)
    assert not torch.equal(whole.student, subset.student)


@pytest.mark.parametrize("value", ["often", None, True, [0.1]])
def test_a_threshold_is_a_number_or_auto(value):
    with pytest.raises(SmoosegError, match=r"settings\.b1 must be number or auto; got"):
        settings(b1=value)
