"""What many partitions of the same patches agree on, as one merge tree that serves every number of clusters.

What belongs to a cut into k clusters is asked of partitions into about 1.5 k: while groups merge, the weight of the
partitions moves from fine ones to coarse ones.
"""

from collections.abc import Iterator

import numpy as np
from sklearn.cluster import KMeans

GROUPS = 100  # small clusters of patches, which partitions are asked about and which are merged
FINE = 32, 0.5  # directions and whitening of the space in which these lie
SIZES = 2, 32  # clusters of a partition, drawn log-uniformly
WHITENINGS = 0, 0.5, 1  # of the partitions' spaces, by turns
NARROW = 4  # directions of a partition's space at least; it has 2 K'
PART = 4000  # patches that a partition is fitted on, drawn anew for each
STEPS = 30  # of k-means at most
FINER, BREADTH = 1.5, 0.5  # a cut into k asks partitions into about FINER * k, within BREADTH in log K' (one sigma)
EXPONENT = 0.75  # of clusters' sizes in what merging costs: 1 is Ward's criterion, less lets large clusters grow


def scale_to_unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length one; zeros stay zeros."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def whiten(sample: np.ndarray, spread: np.ndarray, dimensions: int, power: float) -> np.ndarray:
    """Unit vectors of a sample in its first directions, between scaled to the residual's spread (0) and whitened (1).

    Args:
        sample: (patches, directions), of unit smoothed variance each.
        spread: (directions,) the residual's standard deviation along each; zero where there is no direction.
        dimensions: Directions to keep.
        power: 0 to 1.
    """
    kept = spread[:dimensions]
    return scale_to_unit(sample[:, :dimensions] / np.where(kept > 0, kept, 1) ** (1 - power))


def partition(space: np.ndarray, clusters: int, rng: np.random.Generator, part: int | None = None) -> np.ndarray:
    """k-means from one start, on a random part of the patches: a cluster for every patch.

    There are fewer clusters where a small part has fewer different patches.
    """
    drawn = rng.permutation(len(space))[:part]
    if len(drawn) < PART:  # so few may be alike: a view of 16 patches, in many copies
        clusters = min(clusters, len(np.unique(space[drawn], axis=0)))
    model = KMeans(clusters, n_init=1, max_iter=STEPS, random_state=int(rng.integers(2**31)))
    return model.fit(space[drawn]).predict(space)


def random_partitions(
    sample: np.ndarray, spread: np.ndarray, number: int, finest: int, rng: np.random.Generator
) -> Iterator[tuple[int, np.ndarray]]:
    """Partitions (K', cluster of each patch) that differ in patches, whitening and number of clusters.

    K' is drawn log-uniformly: one from each of ``number`` equal steps of log K', in random order.

    Args:
        sample, spread: As for :func:`whiten`.
        number: How many.
        finest: Largest K', where it is more than that of :data:`SIZES`.
        rng: Source of everything random.
    """
    low, high = np.log(SIZES[0]), np.log(max(SIZES[1], finest) + 1)
    steps = (rng.permutation(number) + rng.uniform(size=number)) / number
    for turn, asked in enumerate(np.exp(low + steps * (high - low)).astype(int).tolist()):
        space = whiten(sample, spread, max(NARROW, 2 * asked), WHITENINGS[turn % len(WHITENINGS)])
        yield asked, partition(space, asked, rng, PART)


def shares(numbers: np.ndarray, counts: np.ndarray, clusters: int) -> np.ndarray:
    """Weight of the partitions into each number of clusters when what remains are ``clusters``; they sum to one.

    Args:
        numbers: (sizes,) numbers of clusters K' that occur, ascending.
        counts: (sizes,) partitions of each.
        clusters: k after the merge.
    """
    centre = np.clip(FINER * clusters, numbers[0], numbers[-1])
    weights = counts * np.exp(-0.5 * (np.log(numbers / centre) / BREADTH) ** 2)
    return weights / weights.sum()


def profiles_of(groups: np.ndarray, counts: np.ndarray, parts: list[tuple[int, np.ndarray]]) -> list[np.ndarray]:
    """Of each number K' that occurs, ascending, what its partitions say of every group: (groups, columns) each.

    The squared distance of two rows is the mean over its partitions of that between the groups' distributions.

    Args:
        groups: Group of each patch.
        counts: (groups,) patches in each.
        parts: As :func:`random_partitions` gives them.
    """
    found = []
    for number in sorted({number for number, _ in parts}):
        votes = []
        for labels in (labels for other, labels in parts if other == number):
            width = int(labels.max()) + 1
            votes.append(np.bincount(groups * width + labels, minlength=len(counts) * width).reshape(-1, width))
        found.append(np.concatenate(votes, axis=1) / counts[:, None] / len(votes) ** 0.5)
    return found


def squared_distances(rows: np.ndarray) -> np.ndarray:
    """Between rows (n, d): (n, n)."""
    squares = (rows**2).sum(1)
    return np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0)


def merge(
    sizes: np.ndarray, profiles: list[np.ndarray], numbers: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Merge groups until one is left, each time the two of least (n m / (n + m)) ** EXPONENT times squared distance.

    Distances are those of partitions about as fine as the cut that the merge makes, see :func:`shares`.

    Args:
        sizes: (groups,) patches in each, as shares.
        profiles: As :func:`profiles_of` gives them.
        numbers, counts: As for :func:`shares`.

    Returns:
        int64 (groups - 1, 2): the group that each merge keeps and the one that it ends; one of several has the number
        of the first. float64 (groups - 1,): what each merge cost.
    """
    sizes, n = sizes.copy(), len(sizes)
    apart = np.stack([squared_distances(rows) for rows in profiles])
    rows, starts = np.concatenate(profiles, axis=1).T, np.cumsum([0] + [p.shape[1] for p in profiles[:-1]])
    closed, steps, heights = np.diag(np.full(n, np.inf)), [], []
    for left in range(n - 1, 0, -1):
        weights = (np.outer(sizes, sizes) / np.add.outer(sizes, sizes)) ** EXPONENT
        costs = weights * np.tensordot(shares(numbers, counts, left), apart, 1) + closed
        kept, gone = sorted(map(int, np.unravel_index(costs.argmin(), costs.shape)))
        steps.append((kept, gone))
        heights.append(costs[kept, gone])
        both = sizes[kept] + sizes[gone]
        rows[:, kept] = (sizes[kept] * rows[:, kept] + sizes[gone] * rows[:, gone]) / both
        sizes[kept], closed[gone], closed[:, gone] = both, np.inf, np.inf
        new = np.add.reduceat((rows - rows[:, [kept]]) ** 2, starts, axis=0)
        apart[:, kept], apart[:, :, kept] = new, new
    return np.array(steps, np.int64).reshape(-1, 2), np.array(heights)


def cut(steps: np.ndarray, clusters: int) -> np.ndarray:
    """Cluster of each group after all merges but the last ``clusters - 1``: int64 (groups,), 0 to clusters - 1."""
    belongs = np.arange(len(steps) + 1)
    for kept, gone in steps[: len(steps) + 1 - clusters]:
        belongs[belongs == gone] = kept
    return np.unique(belongs, return_inverse=True)[1]


def grow_tree(
    sample: np.ndarray, spread: np.ndarray, partitions: int, finest: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One tree of the patches.

    Args:
        sample, spread: As for :func:`whiten`.
        partitions: How many the tree is merged by.
        finest: Clusters of its finest cut; fewer if there are fewer groups.
        rng: Source of everything random.

    Returns:
        int64 (patches,), finest cluster of each; the merges of these and their heights, as :func:`merge` gives them.
    """
    small = partition(whiten(sample, spread, *FINE), GROUPS, rng)
    _, groups, counts = np.unique(small, return_inverse=True, return_counts=True)
    parts = list(random_partitions(sample, spread, partitions, finest, rng))
    numbers, each = np.unique([number for number, _ in parts], return_counts=True)
    steps, heights = merge(counts / counts.sum(), profiles_of(groups, counts, parts), numbers, each)
    finest = min(finest, len(counts))
    first, names = len(counts) - finest, cut(steps, finest)
    return names[groups], names[steps[first:]], heights[first:]
