"""The network that SmooSeg and STEGO train on frozen features, and the dropout of its inputs."""

import torch
from torch import nn


class Projector(nn.Module):
    """Linear layer plus a two-layer MLP, summed: C to D.

    Args:
        channels: C.
        dimensions: D.
        activation: Of the MLP: SiLU for SmooSeg, ReLU for STEGO.
    """

    def __init__(self, channels: int, dimensions: int, activation: type[nn.Module]):
        super().__init__()
        self.linear = nn.Linear(channels, dimensions)
        self.mlp = nn.Sequential(nn.Linear(channels, channels), activation(), nn.Linear(channels, dimensions))

    def forward(self, for_linear: torch.Tensor, for_mlp: torch.Tensor) -> torch.Tensor:
        """Embeddings; the two inputs are the same features under independent dropout."""
        return self.linear(for_linear) + self.mlp(for_mlp)


def channel_dropout(features: torch.Tensor, probability: float, generator: torch.Generator) -> torch.Tensor:
    """Drop whole feature channels of an image: (batch, patches, channels), mask shared by its patches."""
    if probability == 0:
        return features
    shape = features.shape[0], 1, features.shape[2]
    keep = torch.rand(shape, generator=generator, device=generator.device) >= probability
    return features * keep.to(features.dtype).div_(1 - probability)
