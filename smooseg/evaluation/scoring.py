"""Label maps and scores. A label store holds uint8 (images, size, size): class or cluster ids.

Reading labels happens here and nowhere else; nothing here needs torch.
"""

import logging
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import SmoosegError, raise_problems
from ..features.store import Store, open_store
from ..images.datasets.base import VOID, Dataset
from ..images.imaging import label_view
from ..images.labels import doubts
from ..images.manifests import listed_sha256, manifest_parts
from ..running.parallel import absolute, compute
from ..running.progress import progress
from .labelmaps import CHUNK, create_label_store
from .metrics import confusion_matrix, join_rows, majority_classes, match_clusters, of_groups, released_scores, score

LOG = logging.getLogger(__name__)


def read_labels(manifest: Path, dataset: Dataset, split: str, features: str, path: Path, code: str) -> None:
    """Store the labels of a manifest's views, at the size of their features' views; mirror images have none.

    Args:
        manifest: Parquet file of the views.
        dataset: Data set that knows the labels.
        split: The views' split.
        features: Their features.
        path: Store to write.
        code: Hash of the code that decides the result.

    Raises:
        SmoosegError: Naming every label that is missing, of another size than its image, or holds
            an unknown id.
    """
    views = pd.read_parquet(manifest, columns=["image", "mirror"]).query("not mirror")["image"]
    labels = {entry.image: entry.label for entry in dataset.entries(split) if entry.label is not None}
    raise_problems("These images have no label", [image for image in views.unique() if image not in labels])
    source = open_store(features, {"manifest_sha256": listed_sha256(manifest)})
    store = create_label_store(source, len(views), path, {"code": code})
    problems: list[str] = []
    counts = np.zeros(VOID + 1, np.int64)
    decoded = lru_cache(maxsize=1)(dataset.read_label)  # an image's views follow each other
    rows = (row for part in manifest_parts(manifest) for row in part[~part["mirror"]].itertuples())
    for start, stop in progress(store.blocks(CHUNK), unit="block", desc="labels"):
        maps = np.zeros((stop - start, *store.shape[1:]), np.uint8)
        for out, row in zip(maps, rows, strict=False):
            try:
                path = dataset.root / labels[row.image]
                out[:] = label_view(decoded(path), path, row, len(out))
            except SmoosegError as error:
                problems.append(str(error))
        store.write(start, maps)
        counts += np.bincount(maps.ravel(), minlength=len(counts))
    raise_problems("These labels cannot be used", list(dict.fromkeys(problems)))
    LOG.info("%d views of %d images have a label", len(views), views.nunique())
    for doubt in doubts(counts, dataset.classes):
        LOG.warning("%s", doubt)
    store.finish()


def score_labels(
    maps: Store,
    labels: Store,
    clusters: int,
    classes: list[str],
    *,
    matched: bool,
    groups: list[int] | None = None,
    scheduler: str | None = None,
) -> dict:
    """Match clusters to classes on one confusion matrix, and score.

    Args:
        maps: Cluster ids.
        labels: Class ids of the same images.
        clusters: Number of clusters.
        classes: Class names.
        matched: Whether clusters are matched to classes; the supervised reference's are classes already.
        groups: Of each cluster, see :func:`smooseg.evaluation.naming.group_names`: a group is matched as one cluster
            would be, and void's clusters count as wrong; None makes each cluster one of its own.
        scheduler: Where pixels are counted, see :func:`smooseg.running.parallel.compute`; None counts in this process.

    Returns:
        accuracy, miou (percent); many_to_one_accuracy and many_to_one_miou, each cluster (or group) being the class of
        most of its pixels, where there are more of them than classes, else None; released_accuracy and released_miou,
        see :func:`smooseg.evaluation.metrics.released_scores`, None also where clusters are not matched, or in groups;
        iou by class name (percent, None where a class occurs in no label);
        assignment (class id of each cluster, -1 unmatched); confusion (clusters x classes);
        image_accuracy (percent, one per image, None where all is void).
    """
    inputs = absolute(maps.path), absolute(labels.path), clusters, len(classes)
    tasks = [(*inputs, start, stop) for start, stop in maps.blocks(CHUNK)]
    return summarise(np.concatenate(compute(count_block, tasks, 1, scheduler, "count")), classes, matched, groups)


def summarise(confusions: np.ndarray, classes: list[str], matched: bool, groups: list[int] | None = None) -> dict:
    """What :func:`score_labels` returns.

    Args:
        confusions: int64 (images, clusters, classes).
        classes, matched, groups: As for :func:`score_labels`.
    """
    clusters = confusions.shape[1]
    total = confusions.sum(0)
    released = released_scores(total) if matched and groups is None else None
    groups = list(range(clusters)) if groups is None else groups
    joined = join_rows(total, groups)
    assignment = of_groups(match_clusters(joined) if matched else np.arange(len(joined)), groups)
    scores = score(total, assignment)
    many = score(total, of_groups(majority_classes(joined), groups)) if len(joined) > len(classes) else None
    return {
        "accuracy": scores.accuracy,
        "miou": scores.miou,
        "many_to_one_accuracy": many and many.accuracy,
        "many_to_one_miou": many and many.miou,
        "released_accuracy": released and released.accuracy,
        "released_miou": released and released.miou,
        "iou": {name: None if np.isnan(iou) else iou for name, iou in zip(classes, scores.iou, strict=True)},
        "assignment": assignment.tolist(),
        "confusion": total.tolist(),
        "image_accuracy": [score(c, assignment).accuracy if c.sum() else None for c in confusions],
    }


def count_block(maps: Path, labels: Path, clusters: int, classes: int, start: int, stop: int) -> np.ndarray:
    """Confusion matrices of images ``start`` to ``stop``: int64 (images, clusters, classes)."""
    pairs = zip(*(open_store(path, {}, survey=False).read(start, stop) for path in (maps, labels)), strict=True)
    return np.stack([confusion_matrix(image, label, clusters, classes) for image, label in pairs])
