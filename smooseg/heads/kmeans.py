"""Minibatch k-means on L2-normalised patch features: the baseline of every published table."""

import logging
import time

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.cluster import MiniBatchKMeans

from ..features.reader import shuffled_batches
from ..features.store import Store
from ..running.progress import progress
from .base import Head
from .parts.sampling import patches_at
from .snapshot import Snapshot

LOG = logging.getLogger(__name__)
BLOCK = 1 << 14  # patches embedded at once


class KMeansHead(Head):
    """Nearest centroid; the embedding is the normalised feature itself."""

    centroids: torch.Tensor

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__(channels, clusters, settings)
        self.register_buffer("centroids", torch.zeros(clusters, channels))

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        return F.normalize(features.float() - self.mean, dim=-1)

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        # half the negative squared distance to each centroid, up to a constant
        return self.centroids, -0.5 * self.centroids.square().sum(-1)

    def learn(self, store: Store, *, seed: int, budget: int, snapshot: Snapshot | None) -> pd.DataFrame:
        """As :meth:`Head.learn`; it takes seconds, so there is no snapshot."""
        began = time.perf_counter()
        sample = embed_blocks(self, sample_patches(store, self.settings["samples"], budget, seed))
        model = minibatch_kmeans(sample, self.clusters, self.settings, seed)
        self.centroids.copy_(torch.from_numpy(model.cluster_centers_))
        LOG.info("k-means: %d patches, inertia %.4f after %d steps", len(sample), model.inertia_, model.n_steps_)
        history = {
            "step": model.n_steps_,  # of minibatches
            "loss": model.inertia_ / len(sample),
            "clusters": len(np.unique(model.labels_)),
            "steps_per_second": model.n_steps_ / (time.perf_counter() - began),
        }
        return pd.DataFrame([history])


@torch.no_grad()
def embed_blocks(head: Head, patches: torch.Tensor) -> np.ndarray:
    """Normalised embeddings of patches, block by block: float32 (patches, dimensions)."""
    blocks = patches.split(BLOCK)
    first = F.normalize(head.embed(blocks[0]), dim=-1)
    sample = np.empty((len(patches), first.shape[1]), np.float32)
    for i, block in enumerate(blocks):
        sample[i * BLOCK : i * BLOCK + len(block)] = F.normalize(head.embed(block), dim=-1).numpy()
    return sample


def minibatch_kmeans(sample: np.ndarray, clusters: int, settings: dict, seed: int) -> MiniBatchKMeans:
    """Clusters of a sample.

    Args:
        sample: float32 (patches, dimensions).
        clusters: K.
        settings: kmeans_batch (patches in a step), epochs (at most) and starts (of k-means++; the best is kept).
        seed: Fixes starts and order.
    """
    return MiniBatchKMeans(
        clusters,
        batch_size=settings["kmeans_batch"],
        max_iter=settings["epochs"],
        n_init=settings["starts"],
        random_state=seed,
    ).fit(sample)


def sample_patches(store: Store, samples: int, budget: int, seed: int) -> torch.Tensor:
    """About ``samples`` patch features drawn evenly from all views: (patches, channels)."""
    patches, rng = store.shape[1], np.random.default_rng(seed)
    each = min(patches, -(-samples // store.views))
    batches = shuffled_batches(store, store.chunk, budget, seed)
    parts = []
    for _ in progress(range(-(-min(store.views, samples) // store.chunk)), unit="block", desc="sample"):
        views = next(batches)
        order = torch.from_numpy(rng.permuted(np.tile(np.arange(patches), (len(views), 1)), axis=1)[:, :each])
        parts.append(patches_at(views, order).flatten(0, 1))
    return torch.cat(parts)
