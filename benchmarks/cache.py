"""The cache's reads: shuffled batches against aligned and naive reads, and memory that stays bounded."""

import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import zarr

from benchmarks.common import best_time, in_process, peak_bytes, row
from smooseg.features.planning import CHUNK
from smooseg.features.reader import shuffled_batches
from smooseg.features.store import create_store, open_store
from smooseg.heads import HEADS
from smooseg.heads.smooseg import head as smooseg_head
from smooseg.settings.schema import load_schema, validate

PATCHES, CHANNELS = 256, 384  # ViT-S/14 at 224
VIEW_BYTES = 2 * PATCHES * CHANNELS
BATCH = 32
EPOCHS = 3  # of a timed run: starting takes a share of the first
CAMVID_VIEWS = 1835  # five crops of 367 images
LARGE_VIEWS = 20_480  # 4.03 GB
BUDGET = 400_000_000
STREAMED = 100_000_000  # budget that CamVid's 361 MB do not fit


def synthetic_store(path: Path, views: int) -> None:
    """A complete store of random features."""
    store = create_store(path, (views, PATCHES, CHANNELS), "float16", CHUNK, {}, "raw")
    rng = np.random.default_rng(0)
    for start, stop in store.blocks(CHUNK):
        store.write(start, rng.standard_normal((stop - start, PATCHES, CHANNELS), np.float32).astype(np.float16))
    store.finish()


def naive_store(path: Path, views: int) -> zarr.Array:
    """The layout one would write first: shards of 64 views, one view in an inner chunk."""
    shape, shards, chunks = (views, PATCHES, CHANNELS), (64, PATCHES, CHANNELS), (1, PATCHES, CHANNELS)
    array = zarr.create_array(str(path), shape=shape, shards=shards, chunks=chunks, dtype="float16", compressors=None)
    rng = np.random.default_rng(0)
    for start in range(0, views, 64):
        array[start : start + 64] = rng.random((64, PATCHES, CHANNELS), np.float32)
    return array


def read_rates(folder: Path) -> list[dict]:
    """MB/s of shuffled batches, of aligned reads of 64 views, and of random batches of a naive store."""
    store, title = open_store(folder / "camvid.zarr", {}), "shuffled training reads against"
    megabytes = store.views * VIEW_BYTES / 1e6
    aligned = megabytes / best_time(lambda: [len(store.read(*block)) for block in store.blocks(64)], 3)
    steps = EPOCHS * store.views // BATCH
    epochs = lambda: [len(batch) for batch in islice(shuffled_batches(store, BATCH, STREAMED, 0), steps)]  # noqa: E731
    shuffled = EPOCHS * megabytes / best_time(epochs, 3)
    array = naive_store(folder / "naive.zarr", 512)
    batches = np.sort(np.random.default_rng(0).permutation(512)[: 4 * BATCH].reshape(4, BATCH), axis=1)
    naive = 4 * BATCH * VIEW_BYTES / 1e6 / best_time(lambda: [array.oindex[views] for views in batches], 3)
    return [
        row(f"{title} aligned reads of 64 views (MB/s)", shuffled, aligned, shuffled / aligned, "higher", 0.7),
        row(f"{title} {BATCH} random views of a naive store (MB/s)", shuffled, naive, shuffled / naive, "higher", 15),
    ]


def settings(**changes) -> dict:
    """SmooSeg's settings with every default."""
    schema = load_schema()
    return validate({"subtract_mean": True, **changes}, schema["$defs"]["heads"]["smooseg"], schema, "settings")


def waiting(path: Path, steps: int) -> tuple[float, float]:
    """Seconds that a streamed training waits for data, and that it takes in all."""
    waited = 0.0

    def timed(*arguments):
        nonlocal waited
        batches = shuffled_batches(*arguments)
        while True:
            began = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - began
            yield batch

    smooseg_head.shuffled_batches = timed
    began = time.perf_counter()
    HEADS["smooseg"].fit(open_store(path, {}), 11, settings(steps=steps), seed=0, budget=STREAMED)
    return waited, time.perf_counter() - began


def measure_bounded(path: Path, steps: int) -> int:
    """Bytes by which training with a budget raises this process's peak memory over a training on little data."""
    small = open_store(path.parent / "camvid.zarr", {})
    HEADS["smooseg"].fit(small, 11, settings(steps=3), seed=0, budget=20_000_000)
    before = peak_bytes()
    store = open_store(path, {})
    HEADS["smooseg"].fit(store, 11, settings(steps=5), seed=0, budget=BUDGET)
    for batch in islice(shuffled_batches(store, BATCH, BUDGET, 0), steps):
        torch.sum(batch[0, 0])
    return peak_bytes() - before


def run() -> list[dict]:
    """All of it, on synthetic features with CamVid's shape."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synthetic_store(folder / "camvid.zarr", CAMVID_VIEWS)
        rows = read_rates(folder)
        (waited, total), _ = in_process(waiting, folder / "camvid.zarr", 200)
        share = waited / total
        rows.append(row("training streamed: seconds waiting for data, of all", waited, total, share, "lower", 0.05))
        synthetic_store(folder / "large.zarr", LARGE_VIEWS)
        peak, _ = in_process(measure_bounded, folder / "large.zarr", LARGE_VIEWS // BATCH)
        metric = "an epoch of 4 GB: added peak memory against a budget of 400 MB (MB)"
        rows.append(row(metric, peak / 1e6, BUDGET / 1e6, peak / BUDGET, "lower", 1.25))
    return rows
