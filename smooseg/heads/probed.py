"""What several published heads are once they are trained: a projector, and the centres of a cluster probe."""

import torch
from torch import nn

from .base import Head
from .probe import ClusterProbe
from .projector import Projector


class ProbedHead(Head):
    """Nearest centre by cosine, of what the projector makes of a feature; how it is trained is left open."""

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__(channels, clusters, settings)
        self.projector = Projector(channels, settings["dimensions"], nn.ReLU)
        self.probe = ClusterProbe(clusters, settings["dimensions"])

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        centred = features.float() - self.mean
        return self.projector(centred, centred)

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.probe.classifier()
