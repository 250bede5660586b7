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
from .parts.probe import ClusterProbe
from .snapshot import Snapshot
from .stego import CorrespondenceHead
from .training import Energy, clip_gradients


class ProductQuantiser(nn.Module):
    """A book of codewords for every part of an embedding; parts and codewords are normalised.

    Args:
        dimensions: Of an embedding.
        books: Parts of equal length.
        words: Codewords of a book.

    Raises:
        SmoosegError: If the parts would not be of equal length.

    Source:
        Kim et al. 2024 (EQUSS), section 3.2; losses of van den Oord et al. 2017, Eq. 3.
    """

    def __init__(self, dimensions: int, books: int, words: int):
        super().__init__()
        if dimensions % books:
            raise SmoosegError(f"equss: dimensions ({dimensions}) must be a multiple of books ({books})")
        words_of_books = [nn.init.xavier_uniform_(torch.empty(words, dimensions // books)) for _ in range(books)]
        self.words = nn.Parameter(torch.stack(words_of_books))

    def forward(self, embeddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised parts, and the codewords closest to them: both (..., books, dimensions / books)."""
        parts = F.normalize(embeddings.unflatten(-1, (len(self.words), -1)), dim=-1)
        words = F.normalize(self.words, dim=-1)
        closest = torch.einsum("...bd,bwd->...bw", parts.detach(), words.detach()).argmax(-1)
        return parts, words[torch.arange(len(words), device=words.device), closest]


def quantisation_loss(parts: torch.Tensor, words: torch.Tensor, commitment: float) -> torch.Tensor:
    """Mean squared distance of parts and their codewords, once as the words' loss, once, weighted, as the parts'.

    Args:
        parts, words: What a :class:`ProductQuantiser` gives.
        commitment: Weight of the parts' loss.
    """
    return F.mse_loss(words, parts.detach()) + commitment * F.mse_loss(parts, words.detach())


def straight_through(parts: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Quantised embeddings (..., dimensions), whose gradient goes to the parts as if they were these."""
    return (parts + (words - parts).detach()).flatten(-2)


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

    def energy(self, views: torch.Tensor, neighbours: torch.Tensor, generator: torch.Generator) -> Energy:
        s, (features, embeddings) = self.settings, self.sampled(views, neighbours, generator)
        parts, words = self.quantiser(embeddings[0])
        if s["correspond"] == "quantised":
            others = [straight_through(*self.quantiser(e)) for e in embeddings[1:]]
            embeddings = [straight_through(parts, words), *others]
        correspondence, history = self.correspondence(features, embeddings, generator)
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
