"""CRF refinement of CamVid against the straightforward use of its library. Needs `run=camvid` to have run.

Not part of `make bench`, since it trains and refines for minutes: python -m benchmarks crf
"""

import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from pydensecrf.densecrf import DenseCRF2D

from benchmarks.common import in_process, row
from smooseg.evaluation.crf import LOGIT_SCALE, refine
from smooseg.evaluation.labelmaps import CHUNK, create_label_store
from smooseg.evaluation.metrics import Scores, confusion_matrix, match_clusters, score
from smooseg.evaluation.prediction import refine_block, refine_labels
from smooseg.evaluation.segmentation import image_logits
from smooseg.features.store import open_store
from smooseg.heads import HEADS, load_head, save_head
from smooseg.images.imaging import read_views
from smooseg.pictures.segmenter import crf_defaults
from smooseg.running.device import keep_freed_memory
from smooseg.running.machine import usable_cores
from smooseg.settings.config import checked, load_schema

DATA = Path("../shared/data/camvid")
FEATURES = Path("results/features/camvid/dinov2_s14_focus")
LABELS = Path("results/labels/camvid/dinov2_s14_focus/eval.zarr")
MANIFEST = Path("results/manifests/camvid/eval.parquet")
CLASSES, CORES, STEPS = 11, usable_cores(), 600
TIMED = 17  # images whose refinement is timed on one core


def straightforward(logits: torch.Tensor, image: np.ndarray, crf: dict) -> np.ndarray:
    """The library as its documentation shows it: every cluster a label, all iterations in one call."""
    clusters, height, width = logits.shape
    field = DenseCRF2D(width, height, clusters)
    field.setUnaryEnergy(np.ascontiguousarray(-F.log_softmax(LOGIT_SCALE * logits, dim=0).flatten(1).numpy()))
    field.addPairwiseGaussian(sxy=crf["gaussian_sxy"], compat=crf["gaussian_weight"])
    appearance = {"sxy": crf["bilateral_sxy"], "srgb": crf["bilateral_srgb"], "compat": crf["bilateral_weight"]}
    field.addPairwiseBilateral(rgbim=np.ascontiguousarray(image), **appearance)
    return np.array(field.inference(crf["iterations"])).argmax(0).reshape(height, width).astype(np.uint8)


def fit(kind: str, clusters: int, path: Path) -> None:
    """Train a head: k-means, which spreads every image over most clusters, or SmooSeg, which does not."""
    schema = load_schema()
    settings = {} if kind == "kmeans" else {"steps": STEPS, "subtract_mean": True, "precision": "bfloat16"}
    settings = checked(settings, schema["$defs"]["heads"][kind], schema, kind)
    head, _ = HEADS[kind].fit(open_store(FEATURES / "train.zarr", {}), clusters, settings, seed=0, budget=10**9)
    save_head(head, kind, {}, path)


def loop(function, head_path: Path, images: range) -> tuple[float, float, np.ndarray]:
    """CPU seconds of one refinement, and wall-clock seconds and maps of them all, one after the other."""
    torch.set_num_threads(1)
    if function is refine:
        keep_freed_memory()  # as refine_block does
    began, spent, maps, crf = time.perf_counter(), 0.0, [], crf_defaults()
    (head, _), store, views = load_head(head_path), open_store(FEATURES / "eval.zarr", {}), evaluated_views()
    size, resample = (store.provenance[key] for key in ("size", "resample"))
    for i in images:
        (logits,) = image_logits(head, store, 2 * i, 2 * i + 2, size)
        (view,) = read_views(DATA, views[i : i + 1], size, resample)
        started = time.process_time()
        maps.append(function(logits, view, crf))
        spent += time.process_time() - started
    return spent / len(images), time.perf_counter() - began, np.stack(maps)


def evaluated_views() -> pd.DataFrame:
    """The views that have labels."""
    manifest = pd.read_parquet(MANIFEST)
    return manifest[~manifest["mirror"]]


def stage(head_path: Path, path: Path) -> tuple[float, np.ndarray]:
    """Seconds of the workflow's stage on all cores, and its maps."""
    began, manifest = time.perf_counter(), pd.read_parquet(MANIFEST)
    features = open_store(FEATURES / "eval.zarr", {})
    refine_labels(features, head_path, path, "", manifest, DATA, crf_defaults(), workers=CORES)
    seconds, store = time.perf_counter() - began, open_store(path, {})
    return seconds, store.read(0, store.views)


def plain_pool(head_path: Path, path: Path) -> float:
    """Seconds of the same blocks through concurrent.futures."""
    began, views, features = time.perf_counter(), evaluated_views(), open_store(FEATURES / "eval.zarr", {})
    output = create_label_store(features, len(views), path, {})
    with ProcessPoolExecutor(CORES, multiprocessing.get_context("spawn")) as pool:
        jobs = [
            pool.submit(refine_block, features.path, head_path, path, start, views[start:stop], DATA, crf_defaults())
            for start, stop in output.blocks(CHUNK)
        ]
        for job in jobs:
            job.result()
    return time.perf_counter() - began


def scores(maps: np.ndarray, clusters: int) -> Scores:
    """Scores of label maps."""
    labels = open_store(LABELS, {})
    confusion = confusion_matrix(maps, labels.read(0, labels.views), clusters, CLASSES)
    return score(confusion, match_clusters(confusion))


def compare(kind: str, clusters: int, folder: Path) -> list[dict]:
    """Time, label maps and scores of one head."""
    title, head = f"CRF, {kind}, {clusters} clusters:", folder / f"{kind}{clusters}.safetensors"
    fit(kind, clusters, head)
    every = range(len(evaluated_views()))
    few = every[:: -(-len(every) // TIMED)]
    (theirs, looped, maps), _ = in_process(loop, straightforward, head, every)
    (ours, _, _), _ = in_process(loop, refine, head, few)
    seconds, refined = stage(head, folder / f"{kind}{clusters}.zarr")
    old, new = scores(maps, clusters), scores(refined, clusters)
    differing = 100 * (maps != refined).mean()
    return [
        row(f"{title} an image on one core (CPU ms)", 1e3 * ours, 1e3 * theirs, theirs / ours, "higher"),
        row(f"{title} the stage on {CORES} cores against a loop (s)", seconds, looped, looped / seconds, "higher", 3),
        row(f"{title} pixels that differ from the library's (%)", differing, 0, differing, "lower"),
        row(f"{title} accuracy (%)", new.accuracy, old.accuracy, new.accuracy - old.accuracy, "higher"),
        row(f"{title} mIoU (%)", new.miou, old.miou, new.miou - old.miou, "higher"),
    ]


def run() -> list[dict]:
    """Both kinds of head at CamVid's 11 classes and at 27 clusters, and Dask's processes against a plain pool."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, clusters in (("kmeans", 11), ("kmeans", 27), ("smooseg", 11), ("smooseg", 27)):
            rows += compare(kind, clusters, folder)
        plain = plain_pool(folder / "smooseg27.safetensors", folder / "plain.zarr")
        ours, _ = stage(folder / "smooseg27.safetensors", folder / "again.zarr")
        rows.append(
            row("CRF stage: Dask's processes against concurrent.futures (s)", ours, plain, ours / plain, "lower")
        )
    return rows
