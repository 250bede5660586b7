"""Minibatch k-means on L2-normalised patch features: the baseline of every published table."""

import logging
import time

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from ..features.store import Store
from .base import Head
from .parts.clustering import embed_blocks, minibatch_kmeans
from .parts.sampling import sample_patches
from .snapshot import Snapshot

LOG = logging.getLogger(__name__)


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
