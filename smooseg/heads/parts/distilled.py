"""A projector that STEGO's correspondences train: what STEGO and EQUSS build on."""

import pandas as pd
import torch

from ...features.store import Store
from ...running.device import default_device, make_generator
from ..snapshot import Snapshot
from ..training import Energy, minimise
from .correspondence import View, correspondence_loss, normalise_at
from .neighbours import neighbour_batches
from .partners import random_partners
from .positions import random_corners
from .projected import ProjectedHead
from .projector import channel_dropout


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
