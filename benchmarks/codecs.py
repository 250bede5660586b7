"""Codecs on real features: bytes, rates, and what a lossy one does to the scores. Needs `run=camvid` to have run.

Not part of `make bench`, since it trains for minutes: python -m benchmarks codecs
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numcodecs
import numpy as np
import torch
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.codecs.numcodecs import BitRound

from benchmarks.cache import settings
from benchmarks.common import best_time, row
from smooseg.evaluation.metrics import confusion_matrix, match_clusters, score
from smooseg.evaluation.segmentation import image_logits
from smooseg.features.store import create_store, open_store
from smooseg.heads import HEADS
from smooseg.settings.schema import load_schema, validate

FEATURES = Path("results/features/camvid/dinov2_s14_focus")
LABELS = Path("results/labels/camvid/dinov2_s14_focus/eval.zarr")
CLASSES, STEPS, SEEDS, CHUNK = 11, 600, (0, 1, 2), 16


def blosc(name: str, level: int, shuffle: str) -> BloscCodec:
    return BloscCodec(cname=name, clevel=level, shuffle=shuffle, typesize=2)


def int8_channels(x: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Eight bits for each channel's range."""
    return (np.round(x / limit * 127).clip(-127, 127) * (limit / 127)).astype(np.float16)


def bfloat16(x: np.ndarray, limit: np.ndarray) -> np.ndarray:
    return torch.from_numpy(x).bfloat16().half().numpy()


def round_bits(bits: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Keep some of float16's ten fraction bits."""
    codec = numcodecs.BitRound(keepbits=bits)
    return lambda x, limit: codec.decode(codec.encode(x.copy())).view(np.float16).reshape(x.shape)


SHUFFLED = blosc("zstd", 1, "bitshuffle")
# how it is stored (filters, compressors; None: measured on values alone), and the loss it brings
VARIANTS = {
    "raw": ([], [], None),
    "blosc lz4 bitshuffle": ([], [blosc("lz4", 5, "bitshuffle")], None),
    "blosc zstd-1 bitshuffle": ([], [SHUFFLED], None),
    "blosc zstd-5 bitshuffle": ([], [blosc("zstd", 5, "bitshuffle")], None),
    "7 bits kept, zstd-1 bitshuffle": ([BitRound(keepbits=7)], [SHUFFLED], round_bits(7)),
    "5 bits kept, zstd-1 bitshuffle": ([BitRound(keepbits=5)], [SHUFFLED], round_bits(5)),
    "3 bits kept, zstd-1 bitshuffle": ([BitRound(keepbits=3)], [SHUFFLED], round_bits(3)),
    "2 bits kept, zstd-1 bitshuffle": ([BitRound(keepbits=2)], [SHUFFLED], round_bits(2)),
    "bfloat16": (None, None, bfloat16),
    "int8 for each channel": (None, None, int8_channels),
}


def sizes_and_rates(x: np.ndarray, filters: list, compressors: list, path: Path) -> tuple[float, float, float]:
    """Share of the raw bytes, and write and read rates in MB/s of raw bytes."""
    array = zarr.create_array(
        str(path), shape=x.shape, chunks=(CHUNK, *x.shape[1:]), dtype=x.dtype, filters=filters,
        compressors=[*compressors, Crc32cCodec()],
    )  # fmt: skip
    spans = [slice(start, start + CHUNK) for start in range(0, len(x), CHUNK)]

    def write() -> None:
        for span in spans:
            array[span] = x[span]

    megabytes = x.nbytes / 1e6
    writing = megabytes / best_time(write, 1)
    return array.nbytes_stored() / x.nbytes, writing, megabytes / best_time(lambda: [array[span] for span in spans], 2)


def scores(views: list[np.ndarray], labels: np.ndarray, folder: Path, head: str) -> tuple[float, float]:
    """Mean accuracy and mIoU over seeds without CRF, from training and evaluation features."""
    for name, x in zip("te", views, strict=True):
        store = create_store(folder / f"{name}.zarr", x.shape, "float16", CHUNK, {"at": time.time()}, "raw")
        for start, stop in store.blocks(CHUNK):
            store.write(start, x[start:stop])
        store.finish()
    features, evaluation = open_store(folder / "t.zarr", {}), open_store(folder / "e.zarr", {})
    schema, results = load_schema(), []
    chosen = settings(steps=STEPS) if head == "smooseg" else validate({}, schema["$defs"]["heads"][head], schema, "")
    for seed in SEEDS:
        fitted, _ = HEADS[head].fit(features, CLASSES, chosen, seed=seed, budget=10**10)
        size = labels.shape[1]
        logits = (x for span in evaluation.blocks(CHUNK) for x in image_logits(fitted, evaluation, *span, size))
        maps = [x.argmax(0).byte().numpy() for x in logits]
        confusion = confusion_matrix(np.stack(maps), labels, CLASSES, CLASSES)
        result = score(confusion, match_clusters(confusion))
        results.append((result.accuracy, result.miou))
    return tuple(np.mean(results, axis=0))


def run() -> list[dict]:
    """A row for each variant and measure; the reference is the raw store."""
    stores = [open_store(FEATURES / f"{view}.zarr", {}) for view in ("train", "eval")]
    train, evaluation = (store.read(0, store.views) for store in stores)
    labels = open_store(LABELS, {})
    labels = labels.read(0, labels.views)
    limit = np.abs(train).max(axis=(0, 1)).astype(np.float32)
    rows, reference = [], {}

    def add(variant: str, measure: str, value: float, better: str) -> None:
        base = reference.setdefault(measure, value)
        rows.append(row(f"{variant}: {measure}", value, base, value / base, better))
        print(rows[-1], flush=True)

    for variant, (filters, compressors, loss) in VARIANTS.items():
        with tempfile.TemporaryDirectory() as name:
            if filters is None:
                add(variant, "bytes of raw", {"bfloat16": 1.0}.get(variant, 0.5), "lower")
            else:
                share, writing, reading = sizes_and_rates(train, filters, compressors, Path(name) / "x.zarr")
                add(variant, "bytes of raw", share, "lower")
                add(variant, "write (MB/s)", writing, "higher")
                add(variant, "read (MB/s)", reading, "higher")
            if loss is None and reference.get("SmooSeg accuracy"):
                continue  # lossless: the scores are the raw store's
            lossy = [x if loss is None else loss(x, limit) for x in (train, evaluation)]
            for head, title in (("kmeans", "k-means"), ("smooseg", "SmooSeg")):
                accuracy, miou = scores(lossy, labels, Path(name), head)
                add(variant, f"{title} accuracy", accuracy, "higher")
                add(variant, f"{title} mIoU", miou, "higher")
    return rows
