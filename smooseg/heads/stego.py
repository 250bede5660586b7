"""STEGO (Hamilton et al. 2022) on cached features: distil their correspondences, then cluster.

A projector is trained so that its embeddings correspond where features do: within an image, with one
of its nearest neighbours, and with random images. Cosine k-means of the embeddings follows.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from ..features.reader import buffers
from ..features.store import Store
from ..running.device import default_device, make_generator
from .kmeans import embed_blocks, minibatch_kmeans, sample_patches
from .parts.positions import Corners, random_corners
from .parts.projected import ProjectedHead
from .parts.projector import channel_dropout
from .smooseg.energy import random_partners
from .snapshot import Snapshot
from .training import Energy, minimise

POOLED = 32  # views pooled at once
BLOCK = 1024  # rows of the similarity of pooled features computed at once
View = tuple[torch.Tensor, torch.Tensor]  # features and embeddings of a batch: (batch, patches or positions, ...)


def nearest_neighbours(views: torch.Tensor, number: int) -> torch.Tensor:
    """Nearest other views by the cosine of the mean of their normalised patch features.

    Args:
        views: (views, patches, channels).
        number: How many, fewer where there are fewer views.

    Returns:
        int64 (views, number).
    """
    pooled = torch.cat([F.normalize(block.float(), dim=-1).mean(1) for block in views.split(POOLED)])
    pooled = F.normalize(pooled, dim=-1)
    found = []
    for start, rows in zip(range(0, len(pooled), BLOCK), pooled.split(BLOCK), strict=True):
        similarity = rows @ pooled.T
        similarity[torch.arange(len(rows)), start + torch.arange(len(rows))] = -torch.inf  # not itself
        found.append(similarity.topk(min(number, len(pooled) - 1)).indices)
    return torch.cat(found)


def neighbour_batches(
    store: Store,
    size: int,
    neighbours: int,
    budget: int,
    seed: int,
    device: torch.device,
    generator: torch.Generator,
    skip: int = 0,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches of views, each view with one of its nearest neighbours, drawn at random.

    Neighbours come from the buffer: from all views where the store fits the budget, else from the
    random part of them that is held. A rest smaller than a batch is left out.

    Args:
        store, size, budget, seed, device, skip: As for :func:`smooseg.features.reader.shuffled_batches`.
        neighbours: From how many one is drawn.
        generator: Draws it.

    Yields:
        Two (size, patches, channels) in the store's dtype.
    """
    last, nearest = None, torch.empty(0)
    for views, order, passed in buffers(store, budget, seed, device, skip, lambda views: views // min(size, views)):
        if views is not last:
            last, nearest = views, nearest_neighbours(views, neighbours).cpu()
        order = torch.arange(len(views)) if order is None else order.cpu()
        length = min(size, len(order))
        for take in order.split(length)[passed : len(order) // length]:
            choice = torch.randint(nearest.shape[1], (length,), generator=generator)
            partner = nearest[take, choice]
            yield views[take.to(views.device)].to(device), views[partner.to(views.device)].to(device)


def normalise_at(corners: Corners, view: View, images: torch.Tensor | None = None) -> View:
    """Normalised features and embeddings at positions, in the images that :meth:`Corners.of` takes."""
    features, embeddings = (F.normalize(corners.of(part, images), dim=-1) for part in view)
    return features, embeddings


def correspondences(first: View, second: View) -> tuple[torch.Tensor, torch.Tensor]:
    """Closeness of the features of two images, and correspondence of their embeddings.

    Args:
        first: Normalised, (batch, p, channels) and (batch, p, dimensions).
        second: Normalised, (batch, q, channels) and (batch, q, dimensions).

    Returns:
        Two (batch, p, q). Rows of the closeness are centred, and its mean over the batch is added back, as the
        released shifts assume.
    """
    closeness, correspondence = (a @ b.transpose(1, 2) for a, b in zip(first, second, strict=True))
    return closeness - closeness.mean(-1, keepdim=True) + closeness.mean(), correspondence


def correspondence_loss(first: View, second: View, shift: float) -> torch.Tensor:
    """Mean of ``-(closeness - shift) * max(correspondence, 0)`` over pairs of positions.

    Args:
        first, second: As for :func:`correspondences`.
        shift: b, below which a closeness repels.

    Source:
        Hamilton et al. 2022, Eqs. 2 to 4.
    """
    closeness, correspondence = correspondences(first, second)
    return -((closeness - shift) * correspondence.clamp_min(0)).mean()


class CorrespondenceHead(ProjectedHead):
    """Projector trained on correspondences; what its embeddings are used for is a matter of the heads below."""

    def project(self, views: torch.Tensor, generator: torch.Generator) -> View:
        """Features without the mean, and embeddings, of all patches under dropout of three masks.

        Args:
            views: (batch, patches, channels).
            generator: Of dropout.
        """
        centred = views.float() - self.mean
        dropped = [channel_dropout(centred, self.settings["dropout"], generator) for _ in range(3)]
        return dropped[2], self.projector(dropped[0], dropped[1])

    def correspondence(self, views: View, neighbours: View, generator: torch.Generator) -> Energy:
        """Loss of what :meth:`project` gives, and its parts for the history.

        Args:
            views: Features and embeddings of the batch.
            neighbours: Those of a neighbour of each view.
            generator: Of positions and random images.

        Source:
            Released code: the first positions are of the views, the second ones of neighbours and random images.
        """
        s, batch = self.settings, len(views[0])
        first, second = (random_corners(views[0], s["patches"], generator) for _ in range(2))
        partners = torch.stack([random_partners(batch, generator) for _ in range(s["random_images"])])
        anchors, others = normalise_at(first, views), zip(*normalise_at(second, views, partners), strict=True)
        parts = {
            "within": correspondence_loss(anchors, anchors, s["b_within"]),
            "neighbour": correspondence_loss(anchors, normalise_at(second, neighbours), s["b_neighbour"]),
            "random": torch.stack([correspondence_loss(anchors, other, s["b_random"]) for other in others]).mean(),
        }
        return sum(s[f"{name}_weight"] * part for name, part in parts.items()), parts

    def energy(self, views: torch.Tensor, neighbours: torch.Tensor, generator: torch.Generator) -> Energy:
        """Loss of a batch, and its parts for the history.

        Args:
            views: (batch, patches, channels).
            neighbours: A neighbour of each view, of the same shape.
            generator: Of dropout, positions and random images.
        """
        projected, of_neighbours = self.project(views, generator), self.project(neighbours, generator)
        return self.correspondence(projected, of_neighbours, generator)

    def optimizer(self) -> torch.optim.Optimizer:
        """A new one of all that is trained."""
        groups = [{"name": "projector", "params": self.projector.parameters(), "lr": self.settings["lr"]}]
        return torch.optim.Adam(groups, fused=True)

    def train_projector(self, store: Store, budget: int, seed: int, snapshot: Snapshot | None) -> pd.DataFrame:
        """Take the steps, and return their history; what was held of the store is let go of."""
        s, device = self.settings, default_device()
        self.to(device)
        of_neighbours, of_patches = torch.Generator().manual_seed(seed), make_generator(device, seed)
        return minimise(
            self,
            lambda skip: neighbour_batches(
                store, s["batch"], s["neighbours"], budget, seed, device, of_neighbours, skip
            ),
            lambda batch: self.energy(*batch, of_patches),
            self.optimizer(),
            s["steps"],
            [of_neighbours, of_patches],
            snapshot,
        )


class StegoHead(CorrespondenceHead):
    """Projector trained on correspondences; nearest centroid by cosine."""

    centroids: torch.Tensor

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__(channels, clusters, settings)
        self.register_buffer("centroids", torch.zeros(clusters, settings["dimensions"]))

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.centroids, torch.zeros(self.clusters)

    def learn(self, store: Store, *, seed: int, budget: int, snapshot: Snapshot | None) -> pd.DataFrame:
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
