"""Views of several sizes, the head being the same: scores of masks at the pictures' size, near borders too, and time.

``python -m benchmarks.view_size --data ../shared/data`` fits SmooSeg+ on the training cache of every labelled set
below a folder and segments evaluation images as ``smooseg segment`` does, at each size. Clusters are matched on all
pixels of a set. Caches are those of :mod:`benchmarks.suite`.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import distance_transform_edt

from benchmarks.sets import BACKBONE, Case, find_datasets, make_caches
from benchmarks.suite import BUDGET, settings_of
from smooseg.evaluation.metrics import confusion_matrix, match_clusters, score
from smooseg.evaluation.segmentation import averaged_embeddings, pixel_logits
from smooseg.heads import Head, SmoothHead
from smooseg.images.datasets import open_dataset
from smooseg.images.datasets.base import VOID
from smooseg.pictures.masks import scaled_ids
from smooseg.pictures.photos import PhotoView, upright_size
from smooseg.pictures.shapes import ShapedBackbone, view_shape
from smooseg.running.device import default_device

TRIMAP = 5  # pixels on either side of a class border
RESAMPLE = "bilinear"  # as fit resizes people's pictures


def near_border(label: np.ndarray) -> np.ndarray:
    """Which pixels are within :data:`TRIMAP` of a border between two classes; void has no border.

    Args:
        label: uint8 (height, width), 255 = void.

    Returns:
        bool (height, width).
    """
    border = np.zeros(label.shape, bool)
    for one, other in (((slice(1, None),), (slice(-1),)), ((..., slice(1, None)), (..., slice(-1)))):
        differs = (label[one] != label[other]) & (label[one] != VOID) & (label[other] != VOID)
        border[one] |= differs
        border[other] |= differs
    return distance_transform_edt(~border) < TRIMAP if border.any() else border


def view_features(backbone: ShapedBackbone, path: Path, shape: tuple[int, int]) -> torch.Tensor:
    """Features of an image's view and of its mirror image."""
    view = PhotoView(path, shape, RESAMPLE, None).read(slice(0, shape[0]), slice(0, shape[1]))
    pair = torch.from_numpy(np.stack([view, view[:, ::-1]]))
    return backbone.prepare_shape(shape, default_device())(pair).cpu()


def head_ids(head: Head, features: torch.Tensor, shape: tuple[int, int], patch: int) -> np.ndarray:
    """Clusters of a view's pixels: uint8 (height, width)."""
    (grid,) = averaged_embeddings(head, features, (shape[0] // patch, shape[1] // patch))
    return pixel_logits(head, grid, shape).argmax(0).to(torch.uint8).numpy()


def count(
    heads: list[Head], backbone: ShapedBackbone, patch: int, path: Path, label: np.ndarray, size: int
) -> tuple[np.ndarray, float]:
    """Confusion matrices of one image's masks.

    Returns:
        int64 (heads, 2, clusters, clusters), of all pixels and of those near a border; CPU seconds with one head.
    """
    edges = np.where(near_border(label), label, VOID)
    began = time.process_time()
    shape = view_shape(*upright_size(path), size, patch)
    features = view_features(backbone, path, shape)
    seen = time.process_time()
    masks = [scaled_ids(head_ids(head, features, shape, patch), *label.shape) for head in heads]
    seconds = seen - began + (time.process_time() - seen) / len(heads)
    clusters = heads[0].clusters
    return np.array([[confusion_matrix(m, ids, clusters, clusters) for ids in (label, edges)] for m in masks]), seconds


def run_set(case: Case, entry: dict, data: Path, sizes: list[int], images: int, seeds: list[int]) -> list[dict]:
    """One row for each size and seed: accuracy, mIoU, accuracy near borders, median CPU seconds of an image."""
    store, settings, rows = case.features("train"), settings_of("smooth", {}), []
    heads = [SmoothHead.fit(store, case.classes, settings, seed=seed, budget=BUDGET)[0] for seed in seeds]
    backbone = ShapedBackbone.of(store.provenance)
    backbone.load(case.folder / "weights" / f"{BACKBONE}.safetensors")
    dataset = open_dataset(entry | {"root": data / entry["path"]})
    entries = dataset.entries(entry["eval"]["split"])
    chosen = [entries[i] for i in np.unique(np.linspace(0, len(entries) - 1, images).astype(int))]
    pairs = [(dataset.root / image.image, dataset.read_label(dataset.root / image.label)) for image in chosen]
    patch = store.provenance["patch"]
    for size in sizes:
        counted, seconds = zip(*(count(heads, backbone, patch, *pair, size) for pair in pairs), strict=True)
        for seed, (whole, border) in zip(seeds, sum(counted), strict=True):
            matched = match_clusters(whole)
            scores, trimap = score(whole, matched), score(border, matched).accuracy
            row = {"set": case.name, "size": size, "seed": seed, "images": len(pairs), "seconds": np.median(seconds)}
            rows.append(row | {"accuracy": scores.accuracy, "miou": scores.miou, "trimap": trimap})
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the labelled data sets")
    parser.add_argument("--out", type=Path, default=Path("results/suite"), help="caches and view_size.csv")
    parser.add_argument("--sets", nargs="+", help="only these of the sets")
    parser.add_argument("--sizes", type=int, nargs="+", default=[322, 448, 644], help="shorter side of a view (pixels)")
    parser.add_argument("--images", type=int, default=20, help="of each set at most, evenly spread over its list")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--precision", default="float32", help="of the extraction")
    given = parser.parse_args()
    datasets = {k: entry for k, entry in find_datasets(given.data).items() if not given.sets or k in given.sets}
    given.out.mkdir(parents=True, exist_ok=True)
    make_caches(datasets, given.data, given.out, given.precision)
    torch.set_num_threads(1)
    rows = []
    for name, entry in datasets.items():
        case = Case(name, given.out, name, tuple(range(len(entry["classes"]))))
        rows += run_set(case, entry, given.data, given.sizes, given.images, given.seeds)
        pd.DataFrame(rows).to_csv(given.out / "view_size.csv", index=False)
    groups = pd.DataFrame(rows).drop(columns="seed").groupby(["set", "size"], sort=False)
    spread = groups[["accuracy", "miou", "trimap"]].std().add_suffix(" spread")
    print(groups.mean().join(spread).round(2).to_string())
