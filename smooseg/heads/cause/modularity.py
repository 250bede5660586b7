"""Modularity of an image's patches under soft clusters, and the patches that it is taken of."""

import torch
import torch.nn.functional as F

from ..parts.epsilon import EPSILON
from ..parts.positions import grid_side

TEMPERATURE = 0.1  # of the tanh that says how much two patches share a cluster, as released
PRODUCTS = 1 << 22  # elements of the products of memberships computed at once: 16 MB


def draw_patches(views: int, patches: int, block: int, generator: torch.Generator) -> torch.Tensor:
    """Positions of one random patch of every block of a view's grid; a rest that fills no block is left out.

    Args:
        views: How many.
        patches: Of a view, a square grid.
        block: Side of a block, in patches.
        generator: Draws them.

    Returns:
        int64 (views, blocks).
    """
    side, device = grid_side(patches), generator.device
    corners = torch.arange(side // block, device=device) * block
    shape = views, len(corners) ** 2
    down, right = (torch.randint(block, shape, generator=generator, device=device) for _ in range(2))
    return (corners.repeat_interleave(len(corners)) + down) * side + corners.repeat(len(corners)) + right


def strongest_shared(memberships: torch.Tensor) -> torch.Tensor:
    """Largest product of two patches' memberships in one cluster; its gradient is that cluster's.

    Args:
        memberships: (batch, n, K), non-negative.

    Returns:
        (batch, n, n): the maximum over k of ``m_ik m_jk``. Nothing of size n x n x K is held.
    """
    batch, n, _ = memberships.shape
    columns = memberships.detach().permute(2, 0, 1).contiguous()  # (K, batch, n)
    best = columns.new_full((batch, n, n), -1.0)
    which = torch.zeros((batch, n, n), dtype=torch.int64, device=columns.device)
    length = max(1, PRODUCTS // best.numel())
    for start, some in zip(range(0, len(columns), length), columns.split(length), strict=True):
        values, indices = (some.unsqueeze(3) * some.unsqueeze(2)).max(0)
        which = torch.where(values > best, indices + start, which)
        best = torch.maximum(values, best)
    of_row = memberships.gather(2, which)  # m_ik of the cluster that i and j share; which is symmetric
    return of_row * of_row.transpose(1, 2)


def modularity_matrix(unit: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Affinity of two patches, their cosine where positive, beyond what their sums of affinities alone would give.

    Args:
        unit: (batch, n, d), normalised.

    Returns:
        (batch, n, n), and (batch, 1, 1), the sum of an image's affinities.

    Source:
        Newman 2006, Eq. 3.
    """
    affinity = (unit @ unit.transpose(1, 2)).clamp_min(0)
    affinity = affinity * (1 - torch.eye(unit.shape[1], device=unit.device, dtype=unit.dtype))
    degrees = affinity.sum(2, keepdim=True)
    total = degrees.sum(1, keepdim=True).clamp_min(EPSILON)
    return affinity - degrees * degrees.transpose(1, 2) / total, total


def modularity_loss(embeddings: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Minus the modularity of each image's patches, mean over images; the centres alone have a gradient.

    How much two patches share a cluster is ``max_k tanh(m_ik m_jk / 0.1)``, where a membership is the cosine to a
    centre, where positive.

    Args:
        embeddings: (batch, n, d), any scale.
        centres: (K, d), any scale.

    Source:
        Kim et al. 2023 (CAUSE), section 3.2.
    """
    unit = F.normalize(embeddings.detach(), dim=-1)
    matrix, total = modularity_matrix(unit)
    memberships = (unit @ F.normalize(centres, dim=-1).T).clamp_min(0)
    return -(matrix / total * torch.tanh(strongest_shared(memberships) / TEMPERATURE)).sum((1, 2)).mean()
