"""What many partitions of the same patches agree on: merged into K clusters of any size, and a discriminant of them."""

from collections.abc import Iterator

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

GROUPS = 100  # small clusters of patches, which partitions are asked about and which are merged
FINE = 32, 0.5  # directions and whitening of the space in which these lie
LEAST = 6  # clusters of a partition, however few are wanted: few large ones would cut through contents
WHITENINGS = 0, 0.5, 1  # of the partitions' spaces, by turns
NARROW = 4  # directions of a partition's space at least; it has 2 K
PART = 8000  # patches that a partition is fitted on, drawn anew for each
STEPS = 30  # of k-means at most
SHRINKAGE = 0.1  # of the clusters' common covariance towards a multiple of the identity
NEVER = -1e6  # log prior of a cluster that no patch belongs to


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length one; zeros stay zeros."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def whitened(sample: np.ndarray, spread: np.ndarray, dimensions: int, power: float) -> np.ndarray:
    """Unit vectors of a sample in its first directions, between scaled to the residual's spread (0) and whitened (1).

    Args:
        sample: (patches, directions), of unit smoothed variance each.
        spread: (directions,) the residual's standard deviation along each; zero where there is no direction.
        dimensions: Directions to keep.
        power: 0 to 1.
    """
    kept = spread[:dimensions]
    return unit(sample[:, :dimensions] / np.where(kept > 0, kept, 1) ** (1 - power))


def partition(space: np.ndarray, clusters: int, rng: np.random.Generator, part: int | None = None) -> np.ndarray:
    """k-means from one start, on a random part of the patches: a cluster for every patch."""
    drawn = rng.permutation(len(space))[:part]
    model = KMeans(min(clusters, len(drawn)), n_init=1, max_iter=STEPS, random_state=int(rng.integers(2**31)))
    return model.fit(space[drawn]).predict(space)


def random_partitions(
    sample: np.ndarray, spread: np.ndarray, clusters: int, number: int, finest: float, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Partitions that differ in patches, whitening and number of clusters (K to ``finest`` times K)."""
    least = max(clusters, LEAST)
    for turn in range(number):
        asked = rng.integers(least, int(finest * least) + 1)
        space = whitened(sample, spread, max(NARROW, 2 * clusters), WHITENINGS[turn % len(WHITENINGS)])
        yield partition(space, int(asked), rng, PART)


def merge(sizes: np.ndarray, profiles: np.ndarray, clusters: int, exponent: float) -> np.ndarray:
    """Merge groups until K are left, each time the two of least (n m / (n + m)) ** exponent times squared distance.

    Args:
        sizes: (groups,) patches in each, as shares.
        profiles: (groups, d) means of their patches.
        clusters: K.
        exponent: 1 is Ward's criterion, which keeps to clusters of like size; less lets large ones grow.

    Returns:
        int64 (groups,): cluster of each group.
    """
    sizes, profiles, belongs = sizes.copy(), profiles.copy(), np.arange(len(sizes))
    for _ in range(len(sizes) - clusters):
        squares = (profiles**2).sum(1)
        distances = np.maximum(squares[:, None] + squares - 2 * profiles @ profiles.T, 0)
        costs = (np.outer(sizes, sizes) / np.add.outer(sizes, sizes)) ** exponent * distances
        np.fill_diagonal(costs, np.inf)
        kept, gone = sorted(np.unravel_index(costs.argmin(), costs.shape))
        both = sizes[kept] + sizes[gone]
        profiles[kept] = (sizes[kept] * profiles[kept] + sizes[gone] * profiles[gone]) / both
        sizes[kept] = both
        sizes, profiles = np.delete(sizes, gone), np.delete(profiles, gone, 0)
        belongs[belongs == gone] = kept
        belongs -= belongs > gone
    return belongs


def consensus(
    sample: np.ndarray, spread: np.ndarray, clusters: int, settings: dict, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Cluster of each patch, merged from small groups of patches by how often random partitions keep them together.

    Args:
        sample, spread: As for :func:`whitened`.
        clusters: K.
        settings: partitions (how many), finest and exponent.
        rng: Source of everything random.

    Returns:
        int64 (patches,), and how often partitions part two patches of a cluster, 0 to 1.
    """
    number = settings["partitions"]
    _, groups, counts = np.unique(
        partition(whitened(sample, spread, *FINE), GROUPS, rng), return_inverse=True, return_counts=True
    )
    parts = []
    for labels in random_partitions(sample, spread, clusters, number, settings["finest"], rng):
        votes = np.zeros((len(counts), labels.max() + 1))
        np.add.at(votes, (groups, labels), 1)
        parts.append(votes / counts[:, None] / number**0.5)
    sizes, profiles = counts / counts.sum(), np.concatenate(parts, axis=1)
    belongs = merge(sizes, profiles, clusters, settings["exponent"])
    means = np.stack([(sizes * (belongs == k)) @ profiles for k in range(belongs.max() + 1)])
    shares = np.bincount(belongs, sizes)
    return belongs[groups], float(1 - ((means**2).sum(1) / shares).sum())


def most_typical(labelings: list[np.ndarray]) -> int:
    """Number of the labeling of the same patches that agrees best with the others, by the adjusted Rand index."""
    agreement = [[adjusted_rand_score(first, second) for second in labelings] for first in labelings]
    return int(np.sum(agreement, axis=1).argmax())


def refined(
    patches: np.ndarray, labels: np.ndarray, clusters: int, times: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, weights and bias of a discriminant that has labelled the patches it is fitted on again some times."""
    weights, bias = discriminant(patches, labels, clusters)
    for _ in range(times):
        labels = (patches @ weights.T + bias).argmax(1)
        weights, bias = discriminant(patches, labels, clusters)
    return labels, weights, bias


def discriminant(patches: np.ndarray, labels: np.ndarray, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Linear discriminant of clusters (Fisher 1936): Gaussians of one covariance, weighted by the clusters' sizes.

    Args:
        patches: (patches, dimensions).
        labels: Cluster of each.
        clusters: K.

    Returns:
        float32 weights (K, dimensions) and bias (K,), scaled so that logits are in the range of a cosine.
    """
    members = np.eye(clusters, dtype=patches.dtype)[labels]
    counts = members.sum(0)
    means = members.T @ patches / np.maximum(counts, 1)[:, None]
    inside = patches - means[labels]
    covariance = inside.T @ inside / len(patches)
    common = np.trace(covariance) / len(covariance)
    covariance = (1 - SHRINKAGE) * covariance + (SHRINKAGE * common + 1e-9) * np.eye(len(covariance))
    weights = np.linalg.solve(covariance, means.T).T
    priors = np.where(counts > 0, np.log(np.maximum(counts, 1) / len(patches)), NEVER)
    bias = priors - 0.5 * (weights * means).sum(1)
    scale = max(np.linalg.norm(weights - weights.mean(0), axis=1).mean(), 1e-12)
    return (weights / scale).astype(np.float32), (bias / scale).astype(np.float32)
