"""Scores of every number of clusters: the cuts of one head, and a k-means of each number beside them."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..features.store import Store
from ..heads import HEADS
from ..heads.smooseg_plus import SmooSegPlusHead
from ..running.progress import progress
from ..settings.schema import load_schema, validate
from .metrics import join_rows, majority_classes, match_clusters, score
from .states import pixel_confusion

KMEANS = 2, 3, 4, 6, 8, 12, 16, 24  # clusters; the number of classes is added
COLUMNS = ["method", "clusters", "accuracy", "miou", "many_to_one_accuracy", "many_to_one_miou"]


def score_cuts(head: SmooSegPlusHead, features: Store, labels: Store, classes: int) -> pd.DataFrame:
    """Scores of all cuts of a head, from one count of its finest clusters' pixels, without the CRF.

    Args:
        head: A fitted head that holds a tree.
        features: Evaluation features.
        labels: Class ids of the same views.
        classes: Number of classes.

    Returns:
        Columns as in :data:`COLUMNS`, in percent; method is "one tree".
    """
    counted = pixel_confusion(head.cut(head.cuts[-1]), features, labels, classes)
    rows = [scores_of("one tree", k, join_rows(counted, head.groups(k).tolist())) for k in head.cuts]
    return pd.DataFrame(rows, columns=COLUMNS)


def score_kmeans(
    train: Store, features: Store, labels: Store, classes: int, numbers: Iterable[int], settings: dict, **fitting
) -> pd.DataFrame:
    """Scores of k-means on the same features, fitted for each number of clusters.

    Args:
        train: Training features.
        features, labels, classes: As for :func:`score_cuts`.
        numbers: Of clusters.
        settings: Those of the k-means head that are not its defaults.
        fitting: seed and budget of :meth:`smooseg.heads.Head.fit`.

    Returns:
        As :func:`score_cuts`; method is "k-means".
    """
    schema, rows = load_schema(), []
    complete = validate(settings, schema["$defs"]["heads"]["kmeans"], schema, "settings")
    for clusters in progress(sorted(numbers), unit="K", desc="k-means"):
        head, _ = HEADS["kmeans"].fit(train, clusters, complete, **fitting)
        rows.append(scores_of("k-means", clusters, pixel_confusion(head, features, labels, classes)))
    return pd.DataFrame(rows, columns=COLUMNS)


def scores_of(method: str, clusters: int, confusion: np.ndarray) -> tuple:
    """A row of :data:`COLUMNS`."""
    matched, many = (score(confusion, chosen(confusion)) for chosen in (match_clusters, majority_classes))
    return method, clusters, matched.accuracy, matched.miou, many.accuracy, many.miou
