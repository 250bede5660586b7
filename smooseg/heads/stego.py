"""STEGO (Hamilton et al. 2022) on cached features: distil their correspondences, then cluster.

A projector is trained so that its embeddings correspond where features do: within an image, with one
of its nearest neighbours, and with random images. Cosine k-means of the embeddings follows.
"""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from ..features.store import Store
from .parts.clustering import embed_blocks, minibatch_kmeans, require_patches
from .parts.distilled import CorrespondenceHead
from .parts.sampling import sample_patches
from .snapshot import Snapshot


class StegoHead(CorrespondenceHead):
    """Projector trained on correspondences; nearest centroid by cosine."""

    centroids: torch.Tensor

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__(channels, clusters, settings)
        self.register_buffer("centroids", torch.zeros(clusters, settings["dimensions"]))

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.centroids, torch.zeros(self.clusters)

    def learn(self, store: Store, *, seed: int, budget: int, snapshot: Snapshot | None) -> pd.DataFrame:
        require_patches(store.views * store.shape[1], self.clusters)  # before the work
        history = self.train_projector(store, budget, seed, snapshot)
        self.cpu()
        used = self.cluster(sample_patches(store, self.settings["samples"], budget, seed), seed)
        return history.assign(clusters=used)

    @torch.no_grad()
    def cluster(self, patches: torch.Tensor, seed: int) -> int:
        """Set the centroids by k-means of some patches' normalised embeddings; returns the clusters in use."""
        model = minibatch_kmeans(embed_blocks(self, patches), self.clusters, self.settings, seed)
        self.centroids.copy_(F.normalize(torch.from_numpy(model.cluster_centers_), dim=-1))
        return len(np.unique(model.labels_))
