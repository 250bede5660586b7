"""Extraction against the bare backbone on the same views: what decoding, writing and waiting cost."""

import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.common import row
from smooseg.features.backbones import Backbone, create_model
from smooseg.features.extraction import extract_features
from smooseg.features.planning import plan_features
from smooseg.images.datasets import open_dataset
from smooseg.images.demo.drawing import write_splits
from smooseg.images.imaging import read_views
from smooseg.images.indexing import index_views
from smooseg.running.device import default_device

MODEL, BLOCK, BATCH = "vit_small_patch14_dinov2.lvd142m", 9, 32
NEEDS = {
    "model": MODEL,
    "block": BLOCK,
    "norm": False,
    "features": "tokens",
    "prefix": 0,
    "resample": "nearest",
    "patch": 14,
    "size": 224,
    "channels": 384,
}
IMAGES = 26  # five views each
ROUNDS = 2
PLAIN = {"precision": "float32", "batch": BATCH}
TRIALS = {  # (what is tried, what it is compared with)
    "batch 16": ({"batch": 16}, {}),
    "batch 64": ({"batch": 64}, {}),
    "channels last": ({"channels_last": True}, {}),
    "torch.compile": ({"compile": True}, {}),
    "bfloat16": ({"precision": "bfloat16"}, {}),
    "torch.compile and frozen weights": ({"precision": "bfloat16", "frozen": True}, {"precision": "bfloat16"}),
}


def bare(pixels: torch.Tensor, weights: Path, precision: str, batch: int, **options) -> float:
    """Views per second of the backbone alone, pixels in memory."""
    model = Backbone(MODEL, BLOCK, False, precision).load(weights).prepare(224, default_device())
    if options.get("channels_last"):
        model.model.patch_embed.to(memory_format=torch.channels_last)
    if options.get("compile") or options.get("frozen"):
        model.model.compile(options={"freezing": bool(options.get("frozen"))})
    with torch.inference_mode():  # without which weights are not frozen
        return rate(model, pixels, batch)


def rate(model: Backbone, pixels: torch.Tensor, batch: int) -> float:
    """Views per second, after one block that compiles."""
    model(pixels[:batch])
    began = time.perf_counter()
    for block in pixels.split(batch):
        model(block)
    return len(pixels) / (time.perf_counter() - began)


def time_whole(manifest, root: Path, weights: Path, folder: Path, precision: str) -> float:
    """Views per second of an extraction, from image files to a finished store; model construction left out."""
    path = folder / "features.zarr"
    shutil.rmtree(path, ignore_errors=True)
    needs = NEEDS | {"precision": precision}
    store = plan_features(len(manifest), path, needs, code="", codec="raw", batch=BATCH, replace=True)
    arguments = {"part": 1, "parts": 1, "batch": BATCH, "workers": 2}
    began = time.perf_counter()
    Backbone(MODEL, BLOCK, False, precision).load(weights).prepare(224, default_device())
    setup = time.perf_counter() - began
    began = time.perf_counter()
    extract_features(folder / "views.parquet", root, weights, store, **arguments)
    store.finish()
    return len(manifest) / (time.perf_counter() - began - setup)


def alternate(first: Callable[[], float], second: Callable[[], float]) -> tuple[float, float]:
    """Best rates of two alternatives that take turns: a shared machine's speed drifts by a tenth in minutes."""
    rates = [(first(), second()) for _ in range(ROUNDS)]
    return tuple(map(max, zip(*rates, strict=True)))


def run() -> list[dict]:
    """Rates in float32 and bfloat16, and the settings that were tried on the bare backbone."""
    with tempfile.TemporaryDirectory() as name:
        folder, rows = Path(name), []
        write_splits(folder / "data", {"train": IMAGES, "val": 1, "width": 480, "height": 360, "seed": 0}, 2)
        weights = folder / "random.safetensors"
        save_file(create_model(MODEL).state_dict(), weights)
        dataset = open_dataset({"layout": "folder", "root": folder / "data", "classes": ["a", "b"], "void": 255})
        manifest = index_views(dataset, "train", "five", 224, evaluation=False, workers=2)
        manifest.to_parquet(folder / "views.parquet")
        pixels = torch.from_numpy(read_views(dataset.root, manifest, 224, "nearest"))
        rates = {}
        for precision in ("float32", "bfloat16"):
            rates[precision], alone = alternate(
                partial(time_whole, manifest, dataset.root, weights, folder, precision),
                partial(bare, pixels, weights, precision, BATCH),
            )
            metric = f"extraction against the bare backbone, {precision} (views/s)"
            rows.append(row(metric, rates[precision], alone, rates[precision] / alone, "higher", 0.95))
        fast, slow = rates["bfloat16"], rates["float32"]
        rows.append(row("extraction, bfloat16 against float32 (views/s)", fast, slow, fast / slow, "higher"))
        for label, trial in TRIALS.items():
            tried, plain = alternate(*(partial(bare, pixels, weights, **PLAIN | options) for options in trial))
            against = trial[1].get("precision", f"batch {BATCH} in float32")
            rows.append(
                row(f"bare backbone, {label} against {against} (views/s)", tried, plain, tried / plain, "higher")
            )
    return rows
