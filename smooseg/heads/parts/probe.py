"""Cosine k-means by gradient, beside the training of an embedding that it does not touch."""

import torch
import torch.nn.functional as F
from torch import nn


class ClusterProbe(nn.Module):
    """Cluster centres that follow embeddings while these are trained; no gradient leaves for the embeddings.

    Args:
        clusters: K.
        dimensions: d, of the embeddings.

    Source:
        Hamilton et al. 2022, section 4.3, and the methods that build on it.
    """

    def __init__(self, clusters: int, dimensions: int):
        super().__init__()
        self.centres = nn.Parameter(torch.randn(clusters, dimensions))
        self.clusters_in_use = torch.zeros((), dtype=torch.int64)  # by the patches that the last loss was of

    def loss(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Minus the cosine to the closest centre, mean over patches.

        Args:
            embeddings: (..., d), any scale.

        Returns:
            A scalar, of which the centres alone have a gradient.
        """
        weights, _ = self.classifier()
        closest = (F.normalize(embeddings.detach().flatten(0, -2), dim=-1) @ weights.T).max(-1)
        self.clusters_in_use = (closest.indices.bincount(minlength=len(weights)) > 0).sum()
        return -closest.values.mean()

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised centres (K, d) and bias (K,), as :meth:`smooseg.heads.base.Head.classifier` has them."""
        return F.normalize(self.centres, dim=-1), self.centres.new_zeros(len(self.centres))
