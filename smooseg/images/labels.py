"""Whether labels mean what their data set says: ids that are found, classes that are not, void that covers most."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..errors import SmoosegError, list_some
from .datasets import Dataset
from .datasets.base import VOID

MOSTLY = 0.5  # share of void pixels from which a data set's ids are probably others
ASK = (
    "are the ids those of the classes' order, and the void value the data set's? "
    "Masks of 0 and 255 need labels: ids (smooseg fit: --label-table); Cityscapes' files are the labelIds"
)


def found_ids(paths: Iterable[Path], dataset: Dataset) -> set[int]:
    """Ids below 255 in label files, without the void value; files that hold none are left for reading to name."""
    found = set[int]()
    for path in paths:
        try:
            raw = dataset.decode_label(path, path.read_bytes())
        except (SmoosegError, OSError):
            continue
        found.update(np.unique(raw).tolist() if raw.ndim == 2 else ())
    return {i for i in found if i < VOID and i != dataset.void}


def doubts(counts: np.ndarray, classes: list[str]) -> list[str]:
    """What is strange about labels, a sentence each.

    Args:
        counts: int64 (256,), pixels of each class id, and of 255 for void.
        classes: Class names.
    """
    absent = [name for name, pixels in zip(classes, counts, strict=False) if not pixels]
    void = counts[VOID] / max(1, counts.sum())
    said = []
    if absent:
        said.append(f"{len(absent)} of {len(classes)} classes occur in no label: {list_some(absent)}")
    if void > MOSTLY:
        said.append(f"void covers {100 * void:.1f} % of the labels' pixels, which are not scored")
    return [f"{sentence}; {ASK}" if sentence is said[-1] else sentence for sentence in said]
