"""CRF refinement of CamVid against the straightforward use of its library. Needs `run=camvid` to have run.

Not part of `make bench`, since it trains and refines for minutes: python -m benchmarks crf
"""

import resource
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from pydensecrf.densecrf import DenseCRF2D

from benchmarks.common import in_process, peak_bytes, row
from smooseg.evaluation.metrics import Scores, confusion_matrix, match_clusters, score
from smooseg.evaluation.prediction import refine_labels
from smooseg.evaluation.refinement import ENGINES, refine
from smooseg.evaluation.segmentation import image_logits
from smooseg.features.store import open_store
from smooseg.heads import HEADS, load_head, save_head
from smooseg.images.imaging import read_views
from smooseg.pictures.segmenter import crf_defaults
from smooseg.running.device import keep_freed_memory
from smooseg.running.machine import usable_cores
from smooseg.settings.schema import load_schema, validate

DATA = Path("../shared/data/camvid")
FEATURES = Path("results/features/camvid/dinov2_s14_focus")
LABELS = Path("results/labels/camvid/dinov2_s14_focus/eval.zarr")
MANIFEST = Path("results/manifests/camvid/eval.parquet")
CLASSES, CORES, STEPS = 11, usable_cores(), 600
TIMED = 17  # images whose refinement is timed on one core


def straightforward(logits: torch.Tensor, image: np.ndarray, crf: dict, sharpness: float) -> np.ndarray:
    """The library as its documentation shows it: every cluster a label, all iterations in one call; BGR as for ours."""
    clusters, height, width = logits.shape
    field = DenseCRF2D(width, height, clusters)
    field.setUnaryEnergy(np.ascontiguousarray(-F.log_softmax(sharpness * logits, dim=0).flatten(1).numpy()))
    field.addPairwiseGaussian(sxy=crf["gaussian_sxy"], compat=crf["gaussian_weight"])
    appearance = {"sxy": crf["bilateral_sxy"], "srgb": crf["bilateral_srgb"], "compat": crf["bilateral_weight"]}
    field.addPairwiseBilateral(rgbim=np.ascontiguousarray(image[:, :, ::-1]), **appearance)
    return np.array(field.inference(crf["iterations"])).argmax(0).reshape(height, width).astype(np.uint8)


def fit(kind: str, clusters: int, path: Path) -> None:
    """Train a head: k-means, which spreads every image over most clusters, or SmooSeg, which does not."""
    schema = load_schema()
    settings = {} if kind == "kmeans" else {"steps": STEPS, "subtract_mean": True, "precision": "bfloat16"}
    settings = validate(settings, schema["$defs"]["heads"][kind], schema, kind)
    head, _ = HEADS[kind].fit(open_store(FEATURES / "train.zarr", {}), clusters, settings, seed=0, budget=10**9)
    save_head(head, kind, {}, path)


def loop(engine: str | None, head_path: Path, images: range) -> tuple[float, float, np.ndarray]:
    """CPU seconds of one refinement, and wall-clock seconds and maps of them all, one after the other.

    Args:
        engine: Of ours; None for the library as its documentation shows it.
        head_path: A head.
        images: Which images.
    """
    torch.set_num_threads(1)
    function, crf = (refine, crf_settings(engine)) if engine else (straightforward, crf_settings("pydensecrf"))
    began, spent, maps = time.perf_counter(), [], []
    (head, _), store, views = load_head(head_path), open_store(FEATURES / "eval.zarr", {}), evaluated_views()
    size, resample = (store.provenance[key] for key in ("size", "resample"))
    with keep_freed_memory() if engine else nullcontext():  # as refine_block does
        for i in images:
            (logits,) = image_logits(head, store, 2 * i, 2 * i + 2, size)
            (view,) = read_views(DATA, views[i : i + 1], size, resample)
            started = time.process_time()
            maps.append(function(logits, view, crf, head.sharpness))
            spent.append(time.process_time() - started)
    return float(np.median(spent)), time.perf_counter() - began, np.stack(maps)


def crf_settings(engine: str) -> dict:
    """As published, on an engine."""
    return crf_defaults() | {"engine": engine}


def evaluated_views() -> pd.DataFrame:
    """The views that have labels."""
    manifest = pd.read_parquet(MANIFEST)
    return manifest[~manifest["mirror"]]


def stage(engine: str, head_path: Path, path: Path) -> tuple[float, float, np.ndarray]:
    """Seconds of the workflow's stage on all cores, bytes of memory at its peak for each core, and its maps."""
    began = time.perf_counter()
    features = open_store(FEATURES / "eval.zarr", {})
    refine_labels(features, head_path, path, "", MANIFEST, DATA, crf_settings(engine), workers=CORES)
    seconds, store = time.perf_counter() - began, open_store(path, {})
    worker = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # a core's own process, if it has one
    return seconds, worker or peak_bytes() / CORES, store.read(0, store.views)


def scores(maps: np.ndarray, clusters: int) -> Scores:
    """Scores of label maps."""
    labels = open_store(LABELS, {})
    confusion = confusion_matrix(maps, labels.read(0, labels.views), clusters, CLASSES)
    return score(confusion, match_clusters(confusion))


def compare(kind: str, clusters: int, folder: Path) -> list[dict]:
    """Time, memory, label maps and scores of one head, on both engines."""
    title, head = f"CRF, {kind}, {clusters} clusters:", folder / f"{kind}{clusters}.safetensors"
    fit(kind, clusters, head)
    every = range(len(evaluated_views()))
    few = every[:: -(-len(every) // TIMED)]
    (theirs, looped, maps), _ = in_process(loop, None, head, every)
    rows, refined, memory = [], {}, {}
    for engine in ENGINES:
        (ours, _, _), _ = in_process(loop, engine, head, few)
        (seconds, memory[engine], refined[engine]), _ = in_process(
            stage, engine, head, folder / f"{head.stem}-{engine}.zarr"
        )
        named, target = f"{title} {engine},", 3 if engine == "native" else None
        differing = 100 * (maps != refined[engine]).mean()
        old, new = scores(maps, clusters), scores(refined[engine], clusters)
        rows += [
            row(f"{named} an image on one core (CPU ms)", 1e3 * ours, 1e3 * theirs, theirs / ours, "higher"),
            row(
                f"{named} all on {CORES} cores against a loop (s)",
                seconds,
                looped,
                looped / seconds,
                "higher",
                target,
            ),
            row(f"{named} pixels that differ from the plain library's (%)", differing, 0, differing, "lower"),
            row(f"{named} accuracy (%)", new.accuracy, old.accuracy, new.accuracy - old.accuracy, "higher"),
            row(f"{named} mIoU (%)", new.miou, old.miou, new.miou - old.miou, "higher"),
        ]
    between = 100 * (refined["native"] != refined["pydensecrf"]).mean()
    megabytes, ratio = {engine: memory[engine] / 1e6 for engine in ENGINES}, memory["native"] / memory["pydensecrf"]
    return [
        *rows,
        row(f"{title} pixels that differ between engines (%)", between, 0, between, "lower", 0.1),
        row(f"{title} memory for each core (MB)", megabytes["native"], megabytes["pydensecrf"], ratio, "lower", 0.5),
    ]


def run() -> list[dict]:
    """Both kinds of head at CamVid's 11 classes and at 27 clusters."""
    with tempfile.TemporaryDirectory() as name:
        heads = [(kind, clusters) for kind in ("kmeans", "smooseg") for clusters in (11, 27)]
        return [row for head in heads for row in compare(*head, Path(name))]
