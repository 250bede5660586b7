"""Shuffled batches: every view once an epoch, the same for a seed, well mixed, in both modes."""

from itertools import islice

import numpy as np
import pytest
import torch

from smooseg.features.reader import mean_feature, shuffled_batches
from smooseg.features.store import Store, open_store
from tests.conftest import make_store

VIEWS, CHUNK = 203, 8
HELD, STREAMED = 10**9, 8 * CHUNK * 2 * 3 * 2  # bytes: all of it, or buffers of 4 chunks


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("reader") / "s.zarr"
    rows = np.broadcast_to(np.arange(VIEWS, dtype=np.float16)[:, None, None], (VIEWS, 2, 3)).copy()
    make_store(path, rows, CHUNK)
    return open_store(path, {})


def drawn(store, budget, seed, views):
    """Numbers of the first ``views`` views."""
    batches = islice(shuffled_batches(store, 10, budget, seed), -(-views // 10))
    return torch.cat([batch[:, 0, 0].clone() for batch in batches])[:views].int().tolist()


@pytest.mark.parametrize("budget", [HELD, STREAMED])
def test_each_epoch_visits_every_view_once(store, budget):
    numbers = drawn(store, budget, 0, 2 * VIEWS)
    for epoch in (numbers[:VIEWS], numbers[VIEWS:]):
        assert sorted(epoch) == list(range(VIEWS))
    assert numbers[:VIEWS] != numbers[VIEWS:]


@pytest.mark.parametrize("budget", [HELD, STREAMED])
def test_the_seed_decides(store, budget):
    assert drawn(store, budget, 3, 300) == drawn(store, budget, 3, 300)
    assert drawn(store, budget, 3, 300) != drawn(store, budget, 4, 300)


@pytest.mark.parametrize("budget", [HELD, STREAMED])
def test_views_of_a_chunk_do_not_stay_together(store, budget):
    chunks = np.array(drawn(store, budget, 0, VIEWS)) // CHUNK
    assert (chunks[1:] == chunks[:-1]).mean() < 0.4  # in order it would be 0.88


@pytest.mark.parametrize("budget", [HELD, STREAMED])
@pytest.mark.parametrize("skip", [1, 13, 20, 21, 63])  # within a buffer, over its end, at and over an epoch's
def test_batches_that_are_skipped_are_those_of_the_start(store, budget, skip):
    batches = [batch.clone() for batch in islice(shuffled_batches(store, 10, budget, 0), skip + 30)]
    rest = [batch.clone() for batch in islice(shuffled_batches(store, 10, budget, 0, skip=skip), 30)]
    assert all(map(torch.equal, batches[skip:], rest))


def test_what_is_skipped_is_not_read(store, monkeypatch):
    chunks, scatter = [], Store.scatter
    monkeypatch.setattr(
        Store, "scatter", lambda self, chunk, *rest: chunks.append(chunk) or scatter(self, chunk, *rest)
    )
    next(shuffled_batches(store, 10, STREAMED, 0, skip=1000))  # 50 epochs
    assert len(chunks) <= 3 * 4  # the buffer in use, and those that are being read ahead


def test_batches_keep_shape_and_dtype(store):
    batch = next(shuffled_batches(store, 10, STREAMED, 0))
    assert (batch.shape, batch.dtype) == ((10, 2, 3), torch.float16)


def test_mean_feature(store):
    torch.testing.assert_close(mean_feature(store), torch.full((3,), (VIEWS - 1) / 2))
