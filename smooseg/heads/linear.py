"""Linear probe: an upper reference that is trained WITH labels, unlike every other head."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from ..features.reader import chunk_groups
from ..features.store import Store
from ..images.datasets.base import VOID
from ..running.device import default_device
from .base import Head
from .snapshot import Snapshot
from .training import Energy, minimise

CHUNKS = 2  # of features in a step


def patch_shares(labels: torch.Tensor, classes: int, side: int) -> torch.Tensor:
    """Share of each class among the pixels of each patch; void pixels belong to none.

    Args:
        labels: uint8 (views, size, size), 255 = void.
        classes: Number of classes.
        side: Patches along a side of a view.

    Returns:
        float32 (views, patches, classes), rows summing to at most 1.
    """
    patch = labels.shape[1] // side
    cells = labels.unflatten(2, (side, patch)).unflatten(1, (side, patch)).transpose(2, 3).flatten(3).flatten(1, 2)
    ids = torch.where(cells == VOID, classes, cells.long())
    counts = torch.zeros(*ids.shape[:2], classes + 1).scatter_add_(2, ids, torch.ones(ids.shape))
    return counts[..., :classes] / patch**2


def labelled_batches(
    store: Store, labels: Store, classes: int, seed: int, skip: int = 0
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless (features, shares of classes) of random chunks, without the first ``skip`` pairs of them.

    An epoch reads every chunk once.
    """
    side = round(store.shape[1] ** 0.5)
    for chunks in islice(chunk_groups(store, CHUNKS, np.random.default_rng(seed)), skip, None):
        spans = [(chunk * store.chunk, chunk * store.chunk + store.length(chunk)) for chunk in chunks]
        features = torch.from_numpy(np.concatenate([store.read(*span) for span in spans]))
        maps = torch.from_numpy(np.concatenate([labels.read(*span) for span in spans]))
        yield features, patch_shares(maps, classes, side)


class LinearHead(Head):
    """Softmax regression on normalised patch features; "cluster" i is class i."""

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__(channels, clusters, settings)
        self.linear = nn.Linear(channels, clusters)

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        return F.normalize(features.float() - self.mean, dim=-1)

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.linear.weight / 2, self.linear.bias / 2  # the CRF doubles logits, as it takes them for cosines

    def energy(self, features: torch.Tensor, shares: torch.Tensor) -> Energy:
        """Cross-entropy over labelled pixels, and the classes in use."""
        logits = self.linear(self.embed(features))
        loss = -(shares * F.log_softmax(logits, dim=-1)).sum() / shares.sum().clamp_min(1)
        return loss, {"clusters": (logits.argmax(-1).flatten().bincount() > 0).sum()}

    def learn(  # type: ignore[override]  # no other head may be given labels
        self, store: Store, *, seed: int, budget: int, snapshot: Snapshot | None, labels: Store
    ) -> pd.DataFrame:
        """As :meth:`Head.learn`, with the label maps of the same views: uint8 (views, size, size).

        Chunks are read as they are needed, so ``budget`` does not matter.
        """
        device = default_device()
        self.to(device)
        groups = [{"name": "linear", "params": self.linear.parameters(), "lr": self.settings["lr"]}]
        return minimise(
            self,
            lambda skip: labelled_batches(store, labels, self.clusters, seed, skip),
            lambda batch: self.energy(*(part.to(device) for part in batch)),
            torch.optim.Adam(groups, fused=True),
            self.settings["steps"],
            [],
            snapshot,
        )
