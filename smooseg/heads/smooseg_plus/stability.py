"""How many clusters? What several trees of the same patches agree on is in the images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..base import FEWEST
from .tree import groups

COLUMNS = "agreement", "within", "between"  # of what is measured of every cut
FEW_PICTURES = 40  # below it, a cluster is easily one picture
SHOWN = 24  # clusters that are counted in pictures to recommend a number
COMPARED = 2, 3, 4, 6, 8, 12, 16, 24  # cuts at which trees are compared to choose one


def rand_index(table: np.ndarray) -> float:
    """Adjusted Rand index of two clusterings (Hubert and Arabie 1985), 1 where they are the same.

    Args:
        table: (clusters, clusters of the other), patches in both.
    """
    pairs, ones, others, every = (
        (x * (x - 1) / 2).sum() for x in (table, table.sum(1), table.sum(0), np.array([table.sum()], float))
    )
    chance, most = ones * others / every, (ones + others) / 2
    return float((pairs - chance) / (most - chance)) if most > chance else 1.0


def agreement(trees: Sequence[tuple[np.ndarray, np.ndarray]], cuts: Sequence[int]) -> np.ndarray:
    """Adjusted Rand index of every two trees at some cuts: float64 (cuts, trees, trees); the diagonal is zero.

    Args:
        trees: Of the same patches: finest cluster of each patch, and merges as :func:`.tree.number_clusters` gives
            them.
        cuts: Numbers of clusters.
    """
    found = np.zeros((len(cuts), len(trees), len(trees)))
    for i, (labels, merges) in enumerate(trees):
        for j, (other, others) in enumerate(trees[:i]):
            shape = len(merges) + 1, len(others) + 1
            table = np.bincount(labels * shape[1] + other, minlength=shape[0] * shape[1]).reshape(shape).astype(float)
            for row, clusters in enumerate(cuts):
                joined = (np.eye(clusters)[groups(part, clusters)] for part in (merges, others))
                first, second = joined
                found[row, i, j] = found[row, j, i] = rand_index(first.T @ table @ second)
    return found


def smoothness(labels: np.ndarray, merges: np.ndarray) -> np.ndarray:
    """How smooth the clusters of every cut are: float64 (cuts, 2), from two clusters to the finest.

    Args:
        labels: (views, rows, columns), finest cluster of each patch.
        merges: As :func:`.tree.number_clusters` gives them.

    Returns:
        Share of neighbouring patches that are of one cluster; that of any two patches.
    """
    finest = len(merges) + 1
    beside = np.zeros((finest, finest))
    for one, other in ((labels[:, 1:], labels[:, :-1]), (labels[:, :, 1:], labels[:, :, :-1])):
        beside += np.bincount((one * finest + other).ravel(), minlength=finest**2).reshape(finest, finest)
    shares, found = np.bincount(labels.ravel(), minlength=finest) / labels.size, []
    for clusters in range(2, finest + 1):
        belongs = groups(merges, clusters)
        same = (beside * (belongs[:, None] == belongs)).sum() / max(beside.sum(), 1)
        found.append((same, (np.bincount(belongs, shares) ** 2).sum()))
    return np.array(found).reshape(-1, 2)


def cut_table(worth: np.ndarray) -> pd.DataFrame:
    """What every cut gains and loses, a row for each.

    Args:
        worth: (cuts, 3), columns as in :data:`COLUMNS`, from two clusters on.

    Returns:
        clusters; agreement (mean adjusted Rand index of trees, 1 = the same clusters, 0 = as by chance); within and
        between, see :func:`smoothness`; smooth, what within has of its way from between to 1.
    """
    table = pd.DataFrame(worth.astype(float), columns=list(COLUMNS))
    table.insert(0, "clusters", np.arange(2, len(table) + 2))
    table["smooth"] = (table["within"] - table["between"]) / (1 - table["between"]).clip(lower=1e-9)
    return table


def contents(counts: np.ndarray, merges: np.ndarray, clusters: int = SHOWN) -> float:
    """How many clusters a picture shows: the exponential of the entropy of their shares, mean over pictures.

    Args:
        counts: (pictures, finest), patches of each finest cluster in whole pictures, not in crops of them.
        merges: As :func:`.tree.number_clusters` gives them.
        clusters: Of the cut that is taken; the finest where there are fewer.
    """
    clusters = min(clusters, len(merges) + 1)
    held = counts @ np.eye(clusters)[groups(merges, clusters)]
    held = held / np.maximum(held.sum(1, keepdims=True), 1)
    return float(np.exp(-(held * np.log(np.where(held > 0, held, 1))).sum(1)).mean())


def least_clusters(counts: np.ndarray, merges: np.ndarray) -> int:
    """Fewest clusters that divide pictures, and do not only tell them apart: a picture shows two on average.

    Only asked of fewer than :data:`FEW_PICTURES` pictures: among few, each may have a cluster of its own.

    Args:
        counts, merges: As for :func:`contents`.
    """
    if len(counts) >= FEW_PICTURES:
        return FEWEST
    asked = range(FEWEST, min(SHOWN, len(merges) + 1) + 1)
    return next((k for k in asked if contents(counts, merges, k) >= 2), FEWEST)  # else each picture is one content


def recommend(shown: float, finest: int, least: int = FEWEST) -> int:
    """Number of clusters to begin with: as many as a picture shows, see :func:`contents`, and one more.

    Args:
        shown: Clusters that a picture shows.
        finest: Clusters that the head holds.
        least: As :func:`least_clusters` gives it.

    Source:
        Chosen of about twenty criteria on fourteen labelled data sets: on nine it is within a factor of 1.5 of the
        number of classes. The agreement of trees says nothing about that number.
    """
    return min(max(round(shown + 1), least), finest)


def explain(shown: float, finest: int, least: int = FEWEST) -> str:
    """One line on what is recommended; arguments as for :func:`recommend`."""
    number = recommend(shown, finest, least)
    why = f"one more than a picture shows on average ({shown:.1f} of {min(SHOWN, finest)})"
    if number > recommend(shown, finest):
        why = "with fewer, most of these pictures are a single cluster"
    return f"recommended: {number} clusters: {why}; look at other numbers, too"
