"""Scores of the states that a training went through, and the best of them by labels: how many figures were published.

Labels choose a state here, after training and for a column that says so; no head is made from it.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from ..features.store import Store
from ..heads import Head, load_head
from ..running.progress import progress
from .labelmaps import CHUNK
from .metrics import Scores, confusion_matrix, match_clusters, score
from .segmentation import best_clusters, image_logits


def score_states(
    head_path: Path, states: Path, features: Store, labels: Store, classes: int, *, matched: bool = True
) -> pd.DataFrame:
    """Scores of a head at the steps whose states were kept, without the CRF.

    Args:
        head_path: The fitted head.
        states: Folder of its states, ``STEP.safetensors``.
        features: Evaluation features.
        labels: Class ids of the same views.
        classes: Number of classes.
        matched: Whether clusters are matched to classes; the supervised reference's are classes already.

    Returns:
        One row per state that has clusters: step, accuracy and miou (percent).
    """
    head, rows = load_head(head_path)[0], []
    for path in progress(sorted(states.glob("*.safetensors"), key=step_of), unit="state", desc="score"):
        head.load_state_dict(load_file(path))
        if head.classifier()[0].any():  # k-means after the last step leaves none before it
            found = pixel_scores(head, features, labels, classes, matched=matched)
            rows.append({"step": step_of(path), "accuracy": found.accuracy, "miou": found.miou})
    return pd.DataFrame(rows, columns=["step", "accuracy", "miou"])


def step_of(path: Path) -> int:
    """Step of a state's file."""
    return int(path.stem)


def pixel_scores(head: Head, features: Store, labels: Store, classes: int, *, matched: bool = True) -> Scores:
    """Scores of a head's clusters, matched to classes one to one unless they are the classes; no label map is kept."""
    total = pixel_confusion(head, features, labels, classes)
    return score(total, match_clusters(total) if matched else np.arange(classes))


def pixel_confusion(head: Head, features: Store, labels: Store, classes: int) -> np.ndarray:
    """Pixels of each cluster of a head in each class: int64 (clusters, classes); no label map is kept."""
    return image_confusions(head, features, labels, classes).sum(0)


@torch.inference_mode()
def image_confusions(head: Head, features: Store, labels: Store, classes: int) -> np.ndarray:
    """As :func:`pixel_confusion`, of each image: int64 (images, clusters, classes)."""
    found = []
    for start, stop in labels.blocks(CHUNK):
        maps = labels.read(start, stop)
        logits = image_logits(head, features, 2 * start, 2 * stop, maps.shape[1])
        found += [
            confusion_matrix(best_clusters(image), label, head.clusters, classes)
            for label, image in zip(maps, logits, strict=True)
        ]
    return np.stack(found)
