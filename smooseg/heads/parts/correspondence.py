"""Correspondences of features and of embeddings, and STEGO's loss of them."""

import torch
import torch.nn.functional as F

from .positions import Corners

View = tuple[torch.Tensor, torch.Tensor]  # features and embeddings of a batch: (batch, patches or positions, ...)


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
