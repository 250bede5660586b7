"""A linear discriminant that tells clusters apart."""

import numpy as np

SHRINKAGE = 0.1  # of the clusters' common covariance towards a multiple of the identity
NEVER = -1e6  # log prior of a cluster that no patch belongs to


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
    covariance = (patches.T @ patches - (means.T * counts) @ means) / len(patches)  # within clusters
    common = np.trace(covariance) / len(covariance)
    covariance = (1 - SHRINKAGE) * covariance + (SHRINKAGE * common + 1e-9) * np.eye(len(covariance))
    weights = np.linalg.solve(covariance, means.T).T
    priors = np.where(counts > 0, np.log(np.maximum(counts, 1) / len(patches)), NEVER)
    bias = priors - 0.5 * (weights * means).sum(1)
    scale = max(np.linalg.norm(weights - weights.mean(0), axis=1).mean(), 1e-12)
    return (weights / scale).astype(np.float32), (bias / scale).astype(np.float32)
