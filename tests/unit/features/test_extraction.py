"""Filling a store: right features, resumable, byte-identical, and never a NaN."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smooseg.errors import SmoosegError
from smooseg.features import extraction, planning
from smooseg.features.backbones import Backbone
from smooseg.features.planning import plan_features
from smooseg.features.store import open_store
from smooseg.images.imaging import read_views
from tests.conftest import TINY_MODEL
from tests.support.extraction import NEEDS, Case, files


@pytest.fixture
def case(tmp_path, tiny_checkpoint) -> Case:
    return Case(tmp_path, tiny_checkpoint)


def recorded_writes(monkeypatch, fail_at=None) -> list[int]:
    """Starts of the blocks that are written from now on; writing block ``fail_at`` fails as a full disk does."""
    done, write = [], extraction.write_block

    def record(store, start, *rest):
        if start == fail_at:
            raise OSError(28, "No space left on device")
        write(store, start, *rest)
        done.append(start)

    monkeypatch.setattr(extraction, "write_block", record)
    return done


def test_the_store_holds_the_backbones_features(case):
    store = case.plan()
    case.extract(store)
    store.finish()
    assert store.shape == (50, 4, 64)
    assert store.provenance["size"] == 32
    model = Backbone(TINY_MODEL, 3, False, "float32").load(case.checkpoint).prepare(32, torch.device("cpu"))
    pixels = torch.from_numpy(read_views(case.dataset.root, case.manifest, 32, "nearest"))
    np.testing.assert_allclose(store.read(0, 50), model(pixels), atol=4e-3, rtol=4e-3)


def test_an_interrupted_extraction_resumes_to_the_same_bytes(case, monkeypatch):
    whole, broken = case.plan("whole.zarr"), case.plan("broken.zarr")
    case.extract(whole)
    with monkeypatch.context() as patch:
        recorded_writes(patch, fail_at=32)
        with pytest.raises(OSError, match="No space"):
            case.extract(broken)
    done = recorded_writes(monkeypatch)
    again = case.plan("broken.zarr")
    case.extract(again)
    assert done == [32, 48]
    whole.finish(), again.finish()
    assert files(case.folder / "broken.zarr") == files(case.folder / "whole.zarr")


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_several_jobs_make_the_same_bytes_as_one(case, parts):
    one, many = case.plan("one.zarr"), case.plan("many.zarr")
    case.extract(one)
    for part in reversed(range(1, parts + 1)):
        case.extract(many, part, parts)
    one.finish(), many.finish()
    assert files(case.folder / "many.zarr") == files(case.folder / "one.zarr")


@given(st.integers(1, 60), st.integers(1, 9))
def test_parts_share_all_blocks_and_none_twice(number, parts):
    blocks = [(i, i + 1) for i in range(number)]
    assert [b for part in range(1, parts + 1) for b in extraction.part_of(blocks, part, parts)] == blocks


@pytest.mark.parametrize("change", [{"code": "2"}, {"codec": "bits5"}])
def test_other_needs_start_anew(case, monkeypatch, change):
    case.extract(case.plan())
    done = recorded_writes(monkeypatch)
    case.extract(case.plan(**change))
    assert done == [0, 16, 32, 48]


@pytest.mark.parametrize("finished", [False, True])
def test_a_store_keeps_the_precision_that_was_chosen_for_it(tmp_path, monkeypatch, finished):
    open_needs = {key: value for key, value in NEEDS.items() if key != "precision"}

    def planned(fast, needs=open_needs, code="1"):
        monkeypatch.setattr(planning, "fast_precision", lambda: fast)
        store = plan_features(1, tmp_path / "s.zarr", needs, code=code, codec="raw", batch=16, replace=True)
        store.write(0, np.zeros(store.shape, np.float16))
        if finished:
            store.finish()
        return store.provenance["precision"]

    assert planned("bfloat16") == "bfloat16"
    assert planned("float32") == "bfloat16"
    if finished:
        store = open_store(tmp_path / "s.zarr", open_needs)
        with pytest.raises(SmoosegError, match="made with precision = 'bfloat16', but this experiment needs 'float32'"):
            open_store(store.path, NEEDS)
    assert planned("float32", code="2") == "float32"  # nothing of the earlier one stays
    assert planned("bfloat16", NEEDS) == "float32"  # stated
    assert planned("bfloat16", open_needs | {"block": 2}) == "bfloat16"


def test_a_store_that_does_not_fit_the_disk_is_refused_before_it_starts(case, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(SmoosegError, match=r"s\.zarr: needs 2\.56e-05 GB and the disk has 1e-06 GB free"):
        case.plan()
    assert not (case.folder / "s.zarr" / "zarr.json").exists()


def test_nan_features_name_the_image(case, monkeypatch):
    def forward(self, pixels):
        features = torch.zeros(len(pixels), 4, 64, dtype=torch.float16)
        features[3] = float("nan")
        return features

    monkeypatch.setattr(Backbone, "forward", forward)
    store = case.plan()
    with pytest.raises(SmoosegError, match=r"images/train/000\.png: the backbone gave NaN"):
        case.extract(store)
    assert not store.is_written(0, 16)
