"""What several heads are once they are trained: a projector, and the centres of a cluster probe or something else."""

from typing import ClassVar

import torch
from torch import nn

from ..base import Head
from .probe import ClusterProbe
from .projector import Projector


class ProjectedHead(Head):
    """Embeddings are what the projector makes of a feature without the mean; what is made of them is left open."""

    activation: ClassVar[type[nn.Module]] = nn.ReLU

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__(channels, clusters, settings)
        self.projector = Projector(channels, settings["dimensions"], self.activation)

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        centred = features.float() - self.mean
        return self.projector(centred, centred)


class ProbedHead(ProjectedHead):
    """Nearest centre by cosine; how it is trained is left open."""

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__(channels, clusters, settings)
        self.probe = ClusterProbe(clusters, settings["dimensions"])

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.probe.classifier()

    def raw_centres(self) -> torch.Tensor:
        return self.probe.centres
