"""EAGLE (Kim et al. 2024) on cached attention keys: patches of one object, by spectral clustering, belong together.

A projector is trained on correspondences of keys first; then patches are contrasted with the objects of the batch,
which eigenvectors of the projector's own embeddings show. Two views of an image differ by dropout alone.
"""

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from ...errors import SmoosegError
from ...features.reader import shuffled_batches
from ...features.store import Store
from ...running.device import default_device, make_generator
from ..parts.correspondence import View, correspondences, normalise_at
from ..parts.partners import random_partners
from ..parts.positions import random_corners
from ..parts.projected import ProbedHead
from ..parts.projector import channel_dropout
from ..parts.sampling import distinct_positions, patches_at
from ..snapshot import Snapshot
from ..training import Energy, minimise
from .eigenvectors import EIGENVECTORS, EigenClusters, eigenvectors, object_loss, patch_weights

LARGEST = 0.8  # correspondence, beyond which nothing is gained
APART = 3.5  # times the shift between images
RANDOM_IMAGES = 5  # that each image is compared with
OBJECT_WEIGHT = 0.85  # of each view's contrast


def adaptive_loss(first: View, second: View, b: float, same: bool) -> torch.Tensor:
    """Correspondence loss whose shift follows from the means of closeness and correspondence.

    Args:
        first, second: As for :func:`smooseg.heads.parts.correspondence.correspondences`.
        b: Taken off the shift.
        same: Whether the two are views of one image.

    Source:
        Kim et al. 2024, appendix; released code.
    """
    closeness, correspondence = correspondences(first, second)
    means = closeness.mean(), correspondence.mean()
    shift = (means[0] - means[1] - b).abs() if same else (means[0] + means[1] - b) * APART
    return -((closeness - shift) * correspondence.clamp(0, LARGEST)).mean()


class EagleHead(ProbedHead):
    """Projector trained on correspondences and objects, and a cluster probe."""

    sharpness = 4.0

    def learn(self, store: Store, *, seed: int, budget: int, snapshot: Snapshot | None) -> pd.DataFrame:
        if store.shape[1] <= EIGENVECTORS:
            raise SmoosegError(f"{store.path}: views of {store.shape[1]} patches have no {EIGENVECTORS} eigenvectors")
        s, device = self.settings, default_device()
        generator = make_generator(device, seed)
        objects = Objects(self).to(device)
        groups = [
            {"name": "projector", "params": self.projector.parameters(), "lr": s["lr"]},
            {"name": "projection", "params": objects.projection.parameters(), "lr": s["lr"]},
            {"name": "probe", "params": self.probe.parameters(), "lr": s["lr_probe"]},
            {"name": "eigen", "params": objects.eigen.parameters(), "lr": s["lr_eigen"]},
        ]

        return minimise(
            objects,
            lambda skip: enumerate(shuffled_batches(store, s["batch"], budget, seed, device, skip), skip),
            lambda batch: objects.energy(*batch, generator),
            torch.optim.Adam(groups, fused=True),
            s["steps"],
            [generator],
            snapshot,
        )


class Objects(nn.Module):
    """What training takes beside the head: a projection, and the centres of eigenvectors of either view.

    Args:
        head: Is trained.
    """

    def __init__(self, head: EagleHead):
        super().__init__()
        self.head, self.settings = head, head.settings
        self.projection = nn.Linear(self.settings["dimensions"], self.settings["dimensions"])
        self.eigen = nn.ModuleList(EigenClusters(head.clusters) for _ in range(2))

    def two_views(self, features: torch.Tensor, generator: torch.Generator) -> list[View]:
        """Features and embeddings of the same patches under two draws of dropout, each of three masks."""
        views = []
        for _ in range(2):
            dropped = [channel_dropout(features, self.settings["dropout"], generator) for _ in range(3)]
            views.append((dropped[2], self.head.projector(dropped[0], dropped[1])))
        return views

    def energy(self, step: int, views: torch.Tensor, generator: torch.Generator) -> Energy:
        """Loss of a batch, and its parts for the history.

        Args:
            step: From 0.
            views: (batch, patches, channels).
            generator: Of dropout, positions, patches and random images.
        """
        s = self.settings
        both = self.two_views(views.float() - self.head.mean, generator)
        same, apart = self.correspondence(both, generator)
        eigen, contrast = self.objects(self.some_patches(both, generator), contrasted=step > s["warmup"])
        share = s["object_share"] if step > s["warmup"] else 0.0
        parts = {
            "same": same,
            "apart": apart,
            "objects": contrast,
            "eigen": eigen,
            "probe": self.head.probe.loss(both[0][1]),
        }
        corresponding = s["same_weight"] * same + s["apart_weight"] * apart
        loss = (1 - share) * corresponding + share * OBJECT_WEIGHT * contrast + eigen + parts["probe"]
        return loss, parts | {"clusters": self.head.probe.clusters_in_use}

    def correspondence(self, both: list[View], generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Losses at some positions of each image: against its other view, and against random images.

        Source:
            Released code: the first positions are of the anchors, the second ones of the same view and of random
            images, the third ones of the other view.
        """
        features, b = both[0][0], self.settings["b"]
        number = self.settings["samples"] or features.shape[1]
        first, second, third = (random_corners(features, number, generator) for _ in range(3))
        partners = torch.stack([random_partners(len(features), generator) for _ in range(RANDOM_IMAGES)])
        anchors, others = normalise_at(first, both[0]), zip(*normalise_at(second, both[0], partners), strict=True)
        apart = [adaptive_loss(anchors, other, b, same=False) for other in others]
        same = adaptive_loss(normalise_at(third, both[1]), normalise_at(second, both[0]), b, same=True)
        return same, torch.stack(apart).mean()

    def some_patches(self, both: list[View], generator: torch.Generator) -> list[View]:
        """The same patches of both views, drawn at random; all where as many are wanted."""
        (batch, patches), number = both[0][0].shape[:2], self.settings["patches"]
        if not number or number >= patches:
            return both
        drawn = distinct_positions(batch, patches, number, generator)
        return [(patches_at(features, drawn), patches_at(embeddings, drawn)) for features, embeddings in both]

    def objects(self, both: list[View], contrasted: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of the eigenvectors' clusters, and the contrast of patches with objects, 0 before it is wanted."""
        found = [eigen(eigenvectors(view[1])) for eigen, view in zip(self.eigen, both, strict=True)]
        loss = torch.stack([of[0] for of in found]).mean()
        if not contrasted:
            return loss, torch.zeros_like(loss)
        z = [F.normalize(self.projection(view[1]), dim=-1).flatten(0, 1) for view in both]
        contrasts = []
        for i, (features, _) in enumerate(both):
            weights = patch_weights(features).flatten()
            if not self.settings["weigh_patches"]:
                weights = weights.mean().expand_as(weights)
            contrasts.append(object_loss(z[i], z[1 - i], found[i][1].flatten(), weights, self.settings["smoothing"]))
        return loss, torch.stack(contrasts).sum()
