"""Confusion matrix, Hungarian matching of clusters to classes, and the scores that follow."""

from dataclasses import dataclass

import numpy as np

from ..errors import SmoosegError
from ..images.datasets.base import VOID

UNMATCHED = -1  # class of a cluster that no class is left for: its pixels count as wrong


def confusion_matrix(predictions: np.ndarray, labels: np.ndarray, clusters: int, classes: int) -> np.ndarray:
    """Pixels of each cluster in each class; void pixels are left out, no other pixel is.

    Args:
        predictions: Cluster ids, any shape.
        labels: Class ids of the same shape, 255 = void.
        clusters: Number of clusters.
        classes: Number of classes.

    Returns:
        int64 (clusters, classes); its sum is the number of valid pixels.

    Raises:
        SmoosegError: If shapes differ or an id is out of range.
    """
    if predictions.shape != labels.shape:
        raise SmoosegError(f"predictions have shape {predictions.shape}, labels {labels.shape}")
    valid = labels != VOID
    cluster, true = predictions[valid].astype(np.int64), labels[valid].astype(np.int64)
    if cluster.size and (cluster.max() >= clusters or true.max() >= classes):
        raise SmoosegError(f"ids reach cluster {cluster.max()} of {clusters} and class {true.max()} of {classes}")
    return np.bincount(cluster * classes + true, minlength=clusters * classes).reshape(clusters, classes)


def match_clusters(confusion: np.ndarray) -> np.ndarray:
    """Class of each cluster, one to one, such that most pixels agree (Hungarian); classes without a pixel get none.

    Returns:
        int64 (clusters,): class ids, :data:`UNMATCHED` for clusters beyond the number of classes that occur.
    """
    from scipy.optimize import linear_sum_assignment  # takes long, and most that import this match nothing

    assignment, occurring = np.full(len(confusion), UNMATCHED), np.flatnonzero(confusion.sum(0))
    cluster, matched = linear_sum_assignment(confusion[:, occurring], maximize=True)
    assignment[cluster] = occurring[matched]
    return assignment


def majority_classes(confusion: np.ndarray) -> np.ndarray:
    """Class of each cluster, many to one: that of most of its pixels; those without a pixel get none.

    Evaluation's labels choose it for every cluster by itself, so that its scores rise with the number of clusters.

    Returns:
        int64 (clusters,): class ids, :data:`UNMATCHED` for clusters without a pixel.
    """
    return np.where(confusion.any(1), confusion.argmax(1), UNMATCHED)


def join_rows(confusion: np.ndarray, groups: list[int]) -> np.ndarray:
    """A confusion matrix whose clusters are joined in groups 0, 1, …; those of :data:`VOID` are left out."""
    joined = np.zeros((max((g + 1 for g in groups if g != VOID), default=0), confusion.shape[1]), np.int64)
    kept = np.array(groups) != VOID
    np.add.at(joined, np.array(groups)[kept], confusion[kept])
    return joined


def of_groups(values: np.ndarray, groups: list[int]) -> np.ndarray:
    """Classes of clusters, int64 (clusters,), from those of their groups; none for clusters of :data:`VOID`."""
    return np.array([UNMATCHED if group == VOID else values[group] for group in groups])


@dataclass(frozen=True)
class Scores:
    """Accuracy, mean IoU and IoU per class, all in percent; a class that occurs in no label has IoU NaN."""

    accuracy: float
    miou: float
    iou: list[float]


def released_scores(confusion: np.ndarray) -> Scores | None:
    """Scores by the rules of the released code, where there is a rule and it makes a difference.

    Args:
        confusion: int64 (clusters, classes).

    Returns:
        None if there are as many clusters as classes and every class is in some label, if there are fewer clusters than
        classes, and if all pixels are dropped.

    Source:
        The released code of STEGO and EAGLE, which drops the pixels of clusters whose number is not that of a class.
    """
    clusters, classes = confusion.shape
    if clusters < classes or (clusters == classes and confusion.any(0).all()):
        return None
    kept = np.where(np.arange(clusters)[:, None] < classes, confusion, 0)
    return score_with_rest(kept) if kept.any() else None


def score_with_rest(confusion: np.ndarray) -> Scores:
    """Scores if every class gets a cluster, and the other clusters are the class "rest", which no label has.

    Args:
        confusion: int64 (clusters, classes), of at least as many clusters as classes.

    Returns:
        Scores whose IoU is NaN for classes (the rest is the last one) of neither pixels nor labels, and 0 for those of
        pixels alone.
    """
    from scipy.optimize import linear_sum_assignment  # see match_clusters

    classes = confusion.shape[1]
    matched, assigned = linear_sum_assignment(confusion, maximize=True)
    by_class = np.zeros((classes + 1, classes + 1), np.int64)  # rows: predicted class
    by_class[assigned, :classes] = confusion[matched]
    by_class[classes, :classes] = np.delete(confusion, matched, 0).sum(0)
    correct = np.diag(by_class)
    union = by_class.sum(0) + by_class.sum(1) - correct
    iou = 100 * np.divide(correct, union, out=np.full(classes + 1, np.nan), where=union > 0)
    return Scores(float(100 * correct.sum() / confusion.sum()), float(np.nanmean(iou)), iou.tolist())


def score(confusion: np.ndarray, assignment: np.ndarray) -> Scores:
    """Scores of a confusion matrix under an assignment of clusters to classes.

    Raises:
        SmoosegError: If no pixel has a class.
    """
    if confusion.sum() == 0:
        raise SmoosegError("every label pixel is void: there is nothing to score")
    classes = confusion.shape[1]
    matched = assignment != UNMATCHED
    by_class = np.zeros((classes, classes), np.int64)  # rows: predicted class
    np.add.at(by_class, assignment[matched], confusion[matched])
    correct = np.diag(by_class)
    union = by_class.sum(1) + confusion.sum(0) - correct
    iou = 100 * np.divide(correct, union, out=np.full(classes, np.nan), where=confusion.sum(0) > 0)
    return Scores(float(100 * correct.sum() / confusion.sum()), float(np.nanmean(iou)), iou.tolist())
