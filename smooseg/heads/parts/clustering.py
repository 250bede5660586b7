"""K-means of normalised embeddings, as k-means and STEGO end with."""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import MiniBatchKMeans

from ...errors import SmoosegError
from ..base import Head

BLOCK = 1 << 14  # patches embedded at once


@torch.no_grad()
def embed_blocks(head: Head, patches: torch.Tensor) -> np.ndarray:
    """Normalised embeddings of patches, block by block: float32 (patches, dimensions)."""
    blocks = patches.split(BLOCK)
    first = F.normalize(head.embed(blocks[0]), dim=-1)
    sample = np.empty((len(patches), first.shape[1]), np.float32)
    for i, block in enumerate(blocks):
        sample[i * BLOCK : i * BLOCK + len(block)] = F.normalize(head.embed(block), dim=-1).numpy()
    return sample


def require_patches(patches: int, clusters: int) -> None:
    """Raise if there are fewer patches than clusters."""
    if patches < clusters:
        raise SmoosegError(f"{patches} patches cannot make {clusters} clusters; give more images, or ask for fewer")


def minibatch_kmeans(sample: np.ndarray, clusters: int, settings: dict, seed: int) -> MiniBatchKMeans:
    """Clusters of a sample.

    Args:
        sample: float32 (patches, dimensions).
        clusters: K.
        settings: kmeans_batch (patches in a step), epochs (at most) and starts (of k-means++; the best is kept).
        seed: Fixes starts and order.

    Raises:
        SmoosegError: If there are fewer patches than clusters.
    """
    require_patches(len(sample), clusters)
    return MiniBatchKMeans(
        clusters,
        batch_size=settings["kmeans_batch"],
        max_iter=settings["epochs"],
        n_init=settings["starts"],
        random_state=seed,
    ).fit(sample)
