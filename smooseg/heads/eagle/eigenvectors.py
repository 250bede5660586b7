"""Eigenvectors of an image's patches, the objects that they show, and a contrast of objects over a batch."""

import torch
import torch.nn.functional as F
from torch import nn

EIGENVECTORS = 3  # of the smallest eigenvalues, after the first, which is trivial
TEMPERATURE = 0.07  # of the contrast of objects
OTHER_VIEW = 0.7  # its weight in that contrast; the rest is of the view that the centres are from
BLOCK = 1024  # patches whose distances are computed at once


def affinities(embeddings: torch.Tensor) -> torch.Tensor:
    """Products of an image's embeddings, not below 0, over their largest, plus 1.

    The 1 is what the released code's closeness of colours comes to (docs/background/methods/eagle.md).

    Args:
        embeddings: (batch, patches, dimensions), any scale.

    Returns:
        (batch, patches, patches), not negative.
    """
    products = (embeddings @ embeddings.mT).clamp_min(0)
    return products / products.amax((1, 2), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) + 1


def smallest_eigenvectors(affinity: torch.Tensor) -> torch.Tensor:
    """Smallest eigenvectors of each normalised Laplacian, without the first.

    Args:
        affinity: (batch, patches, patches), of which no row adds up to 0.

    Returns:
        (batch, patches, 3); an image's are negated where most of their entries are positive.
    """
    scale = affinity.sum(2).rsqrt()
    laplacian = torch.eye(affinity.shape[1], device=affinity.device) - scale[:, :, None] * affinity * scale[:, None]
    vectors = torch.linalg.eigh(laplacian).eigenvectors[..., : 1 + EIGENVECTORS]
    positive = (vectors > 0).float().mean((1, 2), keepdim=True)
    return torch.where((positive > 0.5) & (positive < 1), -vectors, vectors)[..., 1:]


def eigenvectors(embeddings: torch.Tensor) -> torch.Tensor:
    """Eigenvectors of each image that show its objects: (batch, patches, 3), without gradient.

    Args:
        embeddings: (batch, patches, dimensions), any scale.

    Source:
        Kim et al. 2024, section 3.2.
    """
    return smallest_eigenvectors(affinities(embeddings.detach().float()))


class EigenClusters(nn.Module):
    """Cluster centres of eigenvectors, which an object's patches share.

    Args:
        clusters: Number of kinds of objects.

    Source:
        Kim et al. 2024, section 3.2.
    """

    def __init__(self, clusters: int):
        super().__init__()
        self.centres = nn.Parameter(torch.randn(clusters, EIGENVECTORS))

    def forward(self, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss, minus the cosines to the centres weighted by their softmax, and the closest centre of each patch.

        Args:
            vectors: (batch, patches, 3).

        Returns:
            A scalar, and int64 (batch, patches).
        """
        cosines = F.normalize(vectors, dim=-1) @ F.normalize(self.centres, dim=-1).T
        return -(cosines.softmax(-1) * cosines).sum(-1).mean(), cosines.argmax(-1)


def medoids(embeddings: torch.Tensor, kinds: torch.Tensor, number: int) -> torch.Tensor:
    """Of the patches of each kind the one that is least far from all others of its kind.

    Args:
        embeddings: (patches, dimensions).
        kinds: int64 (patches,), each of 0 to number - 1 at least once.
        number: How many kinds there are.

    Returns:
        (number, dimensions), with gradient.
    """
    chosen = []
    for kind in range(number):
        index = (kinds == kind).nonzero()[:, 0]
        rows = embeddings.detach()[index]
        far = torch.cat([torch.cdist(block, rows).sum(1) for block in rows.split(BLOCK)])
        chosen.append(index[far.argmin()])
    return embeddings[torch.stack(chosen)]


def patch_weights(features: torch.Tensor) -> torch.Tensor:
    """Mean closeness of each patch to its image's patches: rows of products of features, columns normalised.

    Args:
        features: (batch, patches, channels), any scale.

    Returns:
        (batch, patches), not below 0: without a mean feature products can be negative.
    """
    return F.normalize(features @ features.mT, dim=1).mean(2).clamp_min(0)


def object_loss(
    embeddings: torch.Tensor, others: torch.Tensor, objects: torch.Tensor, weights: torch.Tensor, smoothing: float
) -> torch.Tensor:
    """Cross-entropy of both views' patches against the medoids of one view's objects.

    Args:
        embeddings: (patches, dimensions), normalised, of the view whose objects and medoids these are.
        others: The same patches in the other view.
        objects: int64 (patches,), kind of object of each patch.
        weights: (patches,), of each patch.
        smoothing: Share of the label that goes to the other kinds.

    Source:
        Kim et al. 2024, section 3.3; released code.
    """
    present, kinds = objects.unique(return_inverse=True)
    centres, number = medoids(embeddings, kinds, len(present)), len(present)
    smoothing = smoothing * number / (number - 1) if number > 1 else 0.0  # torch smooths over all kinds
    losses = [
        (F.cross_entropy(view @ centres.T / TEMPERATURE, kinds, reduction="none", label_smoothing=smoothing) * weights)
        for view in (embeddings, others)
    ]
    return ((1 - OTHER_VIEW) * losses[0].mean() + OTHER_VIEW * losses[1].mean()) / 2
