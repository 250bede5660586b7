"""A merge tree of clusters: its finest clusters, the merges above them, and the clusters of every cut."""

from dataclasses import dataclass

import numpy as np


def chain(finest: int) -> np.ndarray:
    """Merges of a tree in which one cluster takes in all others, the last one first: int64 (finest - 1, 2)."""
    return np.array([(0 if i == 0 else finest + i - 1, finest - 1 - i) for i in range(finest - 1)], np.int64).reshape(
        -1, 2
    )


def number_clusters(steps: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number finest clusters so that a cut keeps the numbers of every coarser one.

    From one cluster on, the last merge is undone first: the larger part keeps its cluster's number, and the smaller one
    gets the next number that is free. Of two parts of one size, the part that a step keeps is the larger.

    Args:
        steps: int64 (finest - 1, 2), the cluster that each merge keeps and the one that it ends. A cluster of several
            has the number of that which was kept.
        sizes: (finest,) patches in each finest cluster.

    Returns:
        int64 (finest,), the new number of each finest cluster; int64 (finest - 1, 2), the nodes that each merge joins:
        finest clusters from 0 on, merges from ``finest`` on.
    """
    finest, sizes, parts = len(sizes), sizes.copy(), []
    for kept, gone in steps:
        parts.append((sizes[kept], sizes[gone]))
        sizes[kept] += sizes[gone]
    numbers = np.zeros(finest, np.int64)
    for new, (kept, gone), (one, other) in zip(range(1, finest), steps[::-1], parts[::-1], strict=True):
        numbers[gone] = new
        if other > one:
            numbers[[kept, gone]] = new, numbers[kept]
    nodes, merges = numbers.copy(), []
    for i, (kept, gone) in enumerate(steps):
        merges.append(sorted((nodes[kept], nodes[gone])))
        nodes[kept] = finest + i
    return numbers, np.array(merges, np.int64).reshape(-1, 2)


def pad_tree(steps: np.ndarray, sizes: np.ndarray, finest: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and sizes of a tree with empty clusters added, which join the first cluster before all merges."""
    extra = np.arange(len(sizes), finest)
    joining = np.stack([np.zeros_like(extra), extra], axis=1)
    return np.concatenate([joining, steps.reshape(-1, 2)]), np.concatenate([sizes, np.zeros(len(extra))])


def groups(merges: np.ndarray, clusters: int) -> np.ndarray:
    """Cluster of each finest cluster at a cut: the smallest number of a finest cluster that it holds.

    In a tree that :func:`number_clusters` made, these are 0 to ``clusters - 1``, and a cut into one more cluster alters
    a single one of them: its smaller part gets the number ``clusters``.

    Args:
        merges: As :func:`number_clusters` gives them.
        clusters: From 1 to the number of finest ones.

    Returns:
        int64 (finest,).
    """
    finest = len(merges) + 1
    belongs, names = np.arange(finest), list(range(finest))
    for first, second in merges[: finest - clusters]:
        kept, gone = sorted((names[first], names[second]))
        belongs[belongs == gone] = kept
        names.append(kept)
    return belongs


@dataclass(frozen=True)
class Tree:
    """A tree of clusters of some patches.

    Args:
        labels: int64 (patches,), finest cluster of each.
        merges: As :func:`number_clusters` gives them.
        heights: float64 (finest - 1,), what each merge cost.
        sizes: float64 (finest,), share of the patches in each finest cluster.
    """

    labels: np.ndarray
    merges: np.ndarray
    heights: np.ndarray
    sizes: np.ndarray


def finish_tree(labels: np.ndarray, steps: np.ndarray, heights: np.ndarray, finest: int) -> Tree:
    """A tree of a number of finest clusters, of which some are empty where fewer were found.

    Args:
        labels, steps, heights: As :func:`.consensus.grow_tree` gives them.
        finest: How many.
    """
    steps, counts = pad_tree(steps, np.bincount(labels), finest)
    numbers, merges = number_clusters(steps, counts)
    sizes = np.zeros(finest)
    sizes[numbers] = counts / counts.sum()
    return Tree(numbers[labels], merges, np.concatenate([np.zeros(finest - 1 - len(heights)), heights]), sizes)
