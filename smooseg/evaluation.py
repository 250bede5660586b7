"""From cached evaluation features to label maps, and from label maps to scores.

Label maps are stores of uint8 (images, size, size), one row per image; the feature store has two
rows per image, its view and the mirror image. Blocks of whole chunks are independent tasks.
"""

import logging
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import torch
from tqdm.dask import TqdmCallback

from .crf import refine
from .datasets import Dataset
from .errors import SmoosegError, raise_listed
from .heads import load_head
from .imaging import read_label, read_views
from .metrics import confusion_matrix, match_clusters, score
from .progress import progress
from .segmentation import image_logits
from .store import Store, create_store, open_store
from .views import manifest_sha256
from .weights import file_sha256

CHUNK = 8  # images in a chunk of a label store: with mirror images, one chunk of features


def read_labels(manifest: pd.DataFrame, dataset: Dataset, features: Path, path: Path, code: str) -> None:
    """Store the labels of an evaluation manifest at the size of its features' views.

    Args:
        manifest: Evaluation views.
        dataset: Data set that knows the label values.
        features: Evaluation features.
        path: Store to write.
        code: Hash of the code that decides the result.

    Raises:
        SmoosegError: Naming every label that is missing, of another size than its image, or holds
            an unknown id.
    """
    rows = manifest[~manifest["mirror"]]
    raise_listed("These images have no label", list(rows["image"][rows["label"] == ""]))
    source = open_store(features, {"manifest_sha256": manifest_sha256(manifest)})
    store = create_label_store(source, path, {"code": code})
    problems: list[str] = []
    for start, stop in progress(store.blocks(CHUNK), unit="block", desc="labels"):
        maps = np.zeros((stop - start, *store.shape[1:]), np.uint8)
        for out, row in zip(maps, rows.iloc[start:stop].itertuples(), strict=True):
            try:
                out[:] = read_label(dataset, row, len(out))
            except SmoosegError as error:
                problems.append(str(error))
        store.write(start, maps)
    raise_listed("These labels cannot be used", problems)
    store.finish()


def create_label_store(features: Store, path: Path, made_from: dict) -> Store:
    """A store for one map of uint8 ids for each image of an evaluation feature store."""
    size = features.provenance["size"]
    provenance = {"manifest_sha256": features.provenance["manifest_sha256"], "size": size} | made_from
    return create_store(path, (features.views // 2, size, size), "uint8", CHUNK, provenance, codec="zstd")


def predict_labels(features: Store, head_path: Path, path: Path, code: str) -> None:
    """Store the clusters that a head gives every pixel of the evaluation views.

    Args:
        features: Evaluation features.
        head_path: A fitted head.
        path: Store to write.
        code: Hash of the code that decides the result.
    """
    head, _ = load_head(head_path)
    output = create_label_store(features, path, {"head_sha256": file_sha256(head_path), "code": code})
    for start, stop in progress(output.blocks(CHUNK), unit="block", desc="predict"):
        logits = image_logits(head, features, 2 * start, 2 * stop, output.shape[1])
        output.write(start, torch.stack([image.argmax(0) for image in logits]).to(torch.uint8).numpy())
    output.finish()


def refine_labels(
    features: Store, head_path: Path, manifest: pd.DataFrame, root: Path, crf: dict, workers: int, path: Path, code: str
) -> None:
    """Store the clusters of every pixel after the dense CRF; blocks an earlier run wrote are kept.

    Args:
        features, head_path, path, code: As for :func:`predict_labels`.
        manifest: Evaluation views, for their pixels.
        root: The data set's folder.
        crf: Settings of :func:`smooseg.crf.refine`.
        workers: Processes.
    """
    facts = {"head_sha256": file_sha256(head_path), "crf": crf, "code": code}
    output = create_label_store(features, path, facts)
    blocks = [block for block in output.blocks(CHUNK) if not output.written(*block)]
    logging.info("%s: %d blocks of %d images with %d processes", path, len(blocks), CHUNK, workers)
    views = manifest[~manifest["mirror"]]
    tasks = [
        dask.delayed(refine_block)(features.path, head_path, views.iloc[start:stop], root, crf, path, start)
        for start, stop in blocks
    ]
    scheduler = "processes" if workers > 1 else "sync"
    with TqdmCallback(desc="crf", unit="block", disable=None):
        dask.compute(*tasks, scheduler=scheduler, num_workers=workers, chunksize=1)
    output.finish()


def refine_block(
    features: Path, head_path: Path, rows: pd.DataFrame, root: Path, crf: dict, path: Path, start: int
) -> None:
    """Refine image ``start`` and those that follow it, and write them to the label store at ``path``."""
    torch.set_num_threads(1)  # the processes share the cores
    store, output, (head, _) = Store.attach(features), Store.attach(path), load_head(head_path)
    size = output.shape[1]
    logits = image_logits(head, store, 2 * start, 2 * (start + len(rows)), size)
    pixels = read_views(root, rows, size, store.provenance["resample"])
    output.write(start, np.stack([refine(image, view, crf) for image, view in zip(logits, pixels, strict=True)]))


def score_labels(maps: Store, labels: Store, clusters: int, classes: list[str]) -> dict:
    """Match clusters to classes on one confusion matrix, and score.

    Args:
        maps: Cluster ids.
        labels: Class ids of the same images.
        clusters: Number of clusters.
        classes: Class names.

    Returns:
        accuracy, miou (percent); iou by class name (percent, None where a class never occurs);
        assignment (class id of each cluster, -1 unmatched); confusion (clusters x classes);
        image_accuracy (percent, one per image, None where all is void).
    """
    confusions = np.stack([
        confusion_matrix(image, label, clusters, len(classes))
        for start, stop in maps.blocks(CHUNK)
        for image, label in zip(maps.read(start, stop), labels.read(start, stop), strict=True)
    ])
    total = confusions.sum(0)
    assignment = match_clusters(total)
    scores = score(total, assignment)
    return {
        "accuracy": scores.accuracy, "miou": scores.miou,
        "iou": {name: None if np.isnan(iou) else iou for name, iou in zip(classes, scores.iou, strict=True)},
        "assignment": assignment.tolist(), "confusion": total.tolist(),
        "image_accuracy": [score(c, assignment).accuracy if c.sum() else None for c in confusions],
    }
