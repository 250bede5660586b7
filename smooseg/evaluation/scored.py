"""Scores of maps that lie in memory: what the workflow's tables are made of, as pandas has it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import SmoosegError
from ..images.datasets.base import VOID
from .metrics import UNMATCHED, confusion_matrix
from .scoring import summarise


@dataclass(frozen=True, eq=False)
class Scored:
    """What :func:`smooseg.score` measured. All scores are percent.

    Args:
        accuracy: Pixels that agree, of all pixels with a class.
        miou: Mean of the classes' IoU.
        iou: IoU of each class, a pandas Series; NaN if no label has the class.
        matching: Class of each cluster, a pandas Series; None if no class was left.
        confusion: Pixels of each cluster (rows) in each class (columns), a pandas DataFrame.
        images: Accuracy of each image, a pandas Series; NaN if its label is all void.

    Example:
        >>> scored = smooseg.score(masks, labels)
        >>> scored.confusion
    """

    accuracy: float
    miou: float
    iou: pd.Series
    matching: pd.Series
    confusion: pd.DataFrame
    images: pd.Series

    def __repr__(self) -> str:
        return f"Scored(accuracy={self.accuracy:.2f}, miou={self.miou:.2f}, {len(self.iou)} classes)"

    def _repr_html_(self) -> str:
        return f"accuracy {self.accuracy:.2f} %, mIoU {self.miou:.2f} %{self.iou.round(2).to_frame().to_html()}"


def score_maps(
    maps: Any, labels: Any, classes: list[str] | None = None, clusters: int | None = None, matched: bool = True
) -> Scored:
    """Match clusters to classes one to one, such that most pixels agree, and score.

    Args:
        maps: Ids of clusters: an array of integers, or several of any sizes. 255 is no cluster, and counts as wrong.
        labels: Ids of classes of the same shapes; 255 is not scored.
        classes: Names of the classes; as many as the labels hold where they are not given.
        clusters: How many there are; as many as the maps hold where it is not given.
        matched: Whether clusters are matched to classes; False takes ids of maps for classes.

    Raises:
        SmoosegError: If there is nothing to score, shapes differ, or an id is out of range.
    """
    found, true = arrays(maps, "maps"), arrays(labels, "labels")
    if not matched:
        found = [np.where(one == VOID - 1, VOID, one) for one in found]  # what masks call unmatched
    if len(found) != len(true):
        raise SmoosegError(f"{len(found)} maps and {len(true)} labels were given")
    pairs = list(zip(found, true, strict=True))
    names = classes or [f"class {i}" for i in range(1 + largest_id(true))]
    number = clusters or (len(names) if not matched else 1 + largest_id(found))
    if not matched and number > len(names):
        raise SmoosegError(f"without matching, maps hold classes: {number} are more than the {len(names)} classes")
    confusions = np.stack([count_pixels(one, label, number, len(names)) for one, label in pairs])
    assigned = [*range(number), VOID]  # the last row: pixels of no cluster
    said = summarise(confusions, names, matched, assigned)
    assignment = said["assignment"][:number]
    return Scored(
        said["accuracy"],
        said["miou"],
        pd.Series(said["iou"], dtype=float, name="IoU").rename_axis("class"),
        pd.Series([None if i == UNMATCHED else names[i] for i in assignment], name="class").rename_axis("cluster"),
        pd.DataFrame(confusions.sum(0)[:number], columns=pd.Index(names, name="class")).rename_axis("cluster"),
        pd.Series(said["image_accuracy"], dtype=float, name="accuracy").rename_axis("image"),
    )


def count_pixels(found: np.ndarray, label: np.ndarray, clusters: int, classes: int) -> np.ndarray:
    """Confusion matrix of an image: int64 (clusters + 1, classes), the last row of pixels without a cluster.

    Raises:
        SmoosegError: If shapes differ, or an id is out of range.
    """
    if (highest := int(found[found != VOID].max(initial=0))) >= clusters:
        raise SmoosegError(f"ids of maps reach {highest}, and there are {clusters}")
    return confusion_matrix(np.where(found == VOID, clusters, found), label, clusters + 1, classes)


def arrays(given: Any, what: str) -> list[np.ndarray]:
    """Maps of ids, one by one.

    Raises:
        SmoosegError: If they are no integers, or none.
    """
    several = isinstance(given, list | tuple) or getattr(given, "ndim", 0) > 2
    each = given if several else [given]
    found = [np.asarray(one.detach().cpu() if hasattr(one, "detach") else one) for one in each]
    for one in found:
        if one.dtype.kind not in "iu" or not one.size or (one.dtype.kind == "i" and one.min() < 0):
            raise SmoosegError(f"{what} must be arrays of ids, whole numbers from 0; got {one.dtype} {one.shape}")
    return found


def largest_id(maps: Iterable[np.ndarray]) -> int:
    """The largest id that is not void.

    Raises:
        SmoosegError: If all is void.
    """
    found = [int(known.max()) for one in maps if (known := one[one != VOID]).size]
    if not found:
        raise SmoosegError("every pixel is void: there is nothing to score")
    return max(found)
