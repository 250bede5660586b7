"""EQUSS (Kim et al. 2024) on cached features: STEGO's correspondences in many dimensions, which are then quantised.

The projector expands the features; a product quantiser writes each embedding as one codeword for each of its
parts. Cluster centres follow the quantised embeddings, by gradient.
"""

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from ..errors import SmoosegError
from ..features.store import Store
from .parts.correspondence import View
from .parts.distilled import CorrespondenceHead
from .parts.probe import ClusterProbe
from .parts.projector import channel_dropout
from .snapshot import Snapshot
from .training import Energy, clip_gradients


class ProductQuantiser(nn.Module):
    """A book of codewords for every part of an embedding; the nearest is that of the largest cosine.

    Args:
        dimensions: Of an embedding.
        books: Parts of equal length.
        words: Codewords of a book.

    Raises:
        SmoosegError: If the parts would not be of equal length.

    Source:
        Kim et al. 2024 (EQUSS), section 3.2; losses of van den Oord et al. 2017, Eq. 3; released code.
    """

    def __init__(self, dimensions: int, books: int, words: int):
        super().__init__()
        if dimensions % books:
            raise SmoosegError(f"equss: dimensions ({dimensions}) must be a multiple of books ({books})")
        words_of_books = [nn.init.xavier_uniform_(torch.empty(words, dimensions // books)) for _ in range(books)]
        self.words = nn.Parameter(torch.stack(words_of_books))

    def forward(self, embeddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised parts, and their nearest codewords at the codewords' own length.

        Args:
            embeddings: (..., dimensions), any scale.

        Returns:
            Two (..., books, dimensions / books). Codewords are normalised for the search alone.
        """
        parts = F.normalize(embeddings.unflatten(-1, (len(self.words), -1)), dim=-1)
        return parts, self.words[torch.arange(len(self.words), device=parts.device), self.nearest(parts)]

    @torch.no_grad()
    def nearest(self, parts: torch.Tensor) -> torch.Tensor:
        """Number of the nearest codeword of each part: int64 (..., books); book by book, which saves memory."""
        books = F.normalize(self.words, dim=-1)
        return torch.stack([(parts[..., i, :] @ book.T).argmax(-1) for i, book in enumerate(books)], dim=-1)


def quantisation_loss(parts: torch.Tensor, words: torch.Tensor, commitment: float) -> torch.Tensor:
    """Mean squared distance of parts and their codewords, once as the words' loss, once, weighted, as the parts'.

    Args:
        parts, words: What a :class:`ProductQuantiser` gives.
        commitment: Weight of the parts' loss.
    """
    return F.mse_loss(words, parts.detach()) + commitment * F.mse_loss(parts, words.detach())


class EqussHead(CorrespondenceHead):
    """Projector trained on correspondences, product quantiser, and cluster centres of what it gives."""

    mirror = False  # as released

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__(channels, clusters, settings)
        self.quantiser = ProductQuantiser(settings["dimensions"], settings["books"], settings["words"])
        self.probe = ClusterProbe(clusters, settings["dimensions"])

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        return self.quantiser(super().embed(features))[1].flatten(-2)

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.probe.classifier()

    def raw_centres(self) -> torch.Tensor:
        return self.probe.centres

    def project(self, views: torch.Tensor, generator: torch.Generator) -> View:
        """As STEGO's, but with one mask of dropout, as released."""
        dropped = channel_dropout(views.float() - self.mean, self.settings["dropout"], generator)
        return dropped, self.projector(dropped, dropped)

    def energy(self, views: torch.Tensor, neighbours: torch.Tensor, generator: torch.Generator) -> Energy:
        s, first, second = self.settings, self.project(views, generator), self.project(neighbours, generator)
        parts, words = self.quantiser(first[1])
        correspondence, history = self.correspondence(first, second, generator)
        quantisation = quantisation_loss(parts, words, s["commitment"])
        probe = self.probe.loss(words.flatten(-2))
        history |= {"quantisation": quantisation, "probe": probe, "clusters": self.probe.clusters_in_use}
        return correspondence + s["quantisation_weight"] * quantisation + probe, history

    def optimizer(self) -> torch.optim.Optimizer:
        s = self.settings
        groups = [
            {
                "name": "projector",
                "params": [*self.projector.parameters(), *self.quantiser.parameters()],
                "lr": s["lr"],
            },
            {"name": "centres", "params": [*self.probe.parameters()], "lr": s["lr_centres"]},
        ]
        optimizer = torch.optim.Adam(groups, fused=True)
        clip_gradients(optimizer, groups[0]["params"], s["clip"])
        return optimizer

    def learn(self, store: Store, *, seed: int, budget: int, snapshot: Snapshot | None) -> pd.DataFrame:
        return self.train_projector(store, budget, seed, snapshot)
