"""What each part of SmooSeg+ contributes: the recipe against k-means and with one part changed at a time.

Scores are those of patches (a patch's pixels all get its cluster), without CRF, means over three seeds. Needs the
caches and labels of a data set: ``snakemake --cores all`` for the demo, or ``--config run=camvid`` for CamVid.
"""

import os

import numpy as np
import torch

from benchmarks.common import row
from smooseg.evaluation.metrics import match_clusters, score
from smooseg.evaluation.segmentation import averaged_embeddings
from smooseg.features.reader import mean_feature
from smooseg.features.store import Store, open_store
from smooseg.heads import HEADS
from smooseg.heads.linear import patch_shares
from smooseg.heads.smooth import covariances, smooth_directions, smooth_kmeans
from smooseg.settings.catalogue import load_catalogue
from smooseg.settings.config import checked, load_schema

DATASET, BACKBONE = os.environ.get("DATASET", "demo"), "dinov2_s14_focus"
SEEDS, BUDGET, STARTS = (0, 1, 2), 4 * 10**9, 8


def settings_of(name: str, **changes) -> dict:
    """A head's settings, the rest being defaults."""
    schema = load_schema()
    return checked({"subtract_mean": name == "smooth"} | changes, schema["$defs"]["heads"][name], schema, "settings")


def principal(moments: np.ndarray, dimensions: int) -> np.ndarray:
    """Principal directions of second moments, scaled to unit variance."""
    values, vectors = np.linalg.eigh(moments)
    return (vectors / np.sqrt(values))[:, ::-1][:, :dimensions].astype(np.float32)


def variants(signal: np.ndarray, residual: np.ndarray, clusters: int) -> dict[str, np.ndarray]:
    """Projections with one part of the recipe changed."""
    dimensions = 2 * clusters
    smooth = smooth_directions(signal, residual, dimensions)
    spread = np.sqrt(np.diag(smooth.T @ residual @ smooth))
    return {
        "principal components of smoothed features, whitened": principal(signal, dimensions),
        "principal components of all features, whitened": principal(signal + residual, dimensions),
        "half whitened": smooth / np.sqrt(spread),
        "not whitened": smooth / spread,
    }


def head_with(projection: np.ndarray, sample: torch.Tensor, mean: torch.Tensor, clusters: int, seed: int):
    """A SmooSeg+ head with another projection, its centroids fitted on the sample."""
    head = HEADS["smooth"](len(projection), clusters, settings_of("smooth", dimensions=projection.shape[1]))
    projection = np.ascontiguousarray(projection)
    head.projection.copy_(torch.from_numpy(projection))
    head.take_centroids(smooth_kmeans(sample, projection, clusters, STARTS, seed), len(sample), 1.0)
    head.mean.copy_(mean)
    return head.eval()


def patch_scores(head, features: Store, shares: torch.Tensor, *, mirrored: bool) -> tuple[float, float]:
    """Accuracy and mIoU of a head's patches in percent."""
    total = torch.zeros(head.clusters, shares.shape[-1])
    for start, stop in features.blocks(features.chunk):
        views = torch.from_numpy(features.read(start, stop))
        with torch.inference_mode():
            grids = averaged_embeddings(head, views).flatten(2).mT if mirrored else head.embed(views)
            clusters = head.logits(grids).argmax(-1)
        images = slice(start // 2, stop // 2) if mirrored else slice(start, stop)
        total.index_add_(0, clusters.flatten(), shares[images].flatten(0, 1))
    confusion = (1e6 * total).round().long().numpy()
    found = score(confusion, match_clusters(confusion))
    return found.accuracy, found.miou


def run() -> list[dict]:
    """Scores of each variant beside those of SmooSeg+, on the training and the evaluation views."""
    entry, place = load_catalogue()["datasets"][DATASET], f"{DATASET}/{BACKBONE}"
    clusters = len(entry["classes"])
    stores, shares = {}, {}
    for view in ("train", "eval"):
        stores[view] = open_store(f"results/features/{place}/{view}.zarr", {})
        labels = open_store(f"results/labels/{place}/{view}.zarr", {})
        side = round(stores[view].shape[1] ** 0.5)
        maps = torch.from_numpy(labels.read(0, labels.views))
        shares[view] = torch.cat([patch_shares(part, clusters, side) for part in maps.split(64)])

    def scores(head) -> list[float]:
        both = (patch_scores(head, stores[v], shares[v], mirrored=v == "eval") for v in stores)
        return [value for pair in both for value in pair]

    found: dict[str, list] = {}
    mean = mean_feature(stores["train"])
    for seed in SEEDS:
        for name, head, changes in [
            ("SmooSeg+", "smooth", {}),
            ("k-means", "kmeans", {}),
            *((f"temperature {t}", "smooth", {"temperature": t}) for t in (0.05, 0.08, 0.1, 0.15, 0.2)),
            *((f"{n} K dimensions", "smooth", {"dimensions": n * clusters}) for n in (1, 3, 4)),
        ]:
            fitted, _ = HEADS[head].fit(
                stores["train"], clusters, settings_of(head, **changes), seed=seed, budget=BUDGET
            )
            found.setdefault(name, []).append(scores(fitted))
        signal, residual, sample = covariances(stores["train"], mean, settings_of("smooth"), seed, BUDGET)
        for name, projection in variants(signal, residual, clusters).items():
            found.setdefault(name, []).append(scores(head_with(projection, sample, mean, clusters, seed)))
    means = {name: np.mean(values, axis=0) for name, values in found.items()}
    rows, ours = [], means.pop("SmooSeg+")
    for name, values in means.items():
        for kind, mine, other in zip(("train acc", "train mIoU", "val acc", "val mIoU"), ours, values, strict=True):
            rows.append(
                row(f"{DATASET} {kind} of SmooSeg+ against {name} (%)", mine, other, mine / other, "higher", None)
            )
    return rows
