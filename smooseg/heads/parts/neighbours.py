"""Batches of views, each with one of the views that are nearest to it."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from ...errors import SmoosegError
from ...features.reader import buffers
from ...features.store import Store

POOLED = 32  # views pooled at once
BLOCK = 1024  # rows of the similarity of pooled features computed at once


def nearest_neighbours(views: torch.Tensor, number: int) -> torch.Tensor:
    """Nearest other views by the cosine of the mean of their normalised patch features.

    Args:
        views: (views, patches, channels).
        number: How many, fewer where there are fewer views.

    Returns:
        int64 (views, number).
    """
    pooled = torch.cat([F.normalize(block.float(), dim=-1).mean(1) for block in views.split(POOLED)])
    pooled = F.normalize(pooled, dim=-1)
    found = []
    for start, rows in zip(range(0, len(pooled), BLOCK), pooled.split(BLOCK), strict=True):
        similarity = rows @ pooled.T
        similarity[torch.arange(len(rows)), start + torch.arange(len(rows))] = -torch.inf  # not itself
        found.append(similarity.topk(min(number, len(pooled) - 1)).indices)
    return torch.cat(found)


def neighbour_batches(
    store: Store,
    size: int,
    neighbours: int,
    budget: int,
    seed: int,
    device: torch.device,
    generator: torch.Generator,
    skip: int = 0,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches of views, each view with one of its nearest neighbours, drawn at random.

    Neighbours come from the buffer: from all views where the store fits the budget, else from the
    random part of them that is held. A rest smaller than a batch is left out.

    Args:
        store, size, budget, seed, device, skip: As for :func:`smooseg.features.reader.shuffled_batches`.
        neighbours: From how many one is drawn.
        generator: Draws it.

    Yields:
        Two (size, patches, channels) in the store's dtype.

    Raises:
        SmoosegError: If only one view is held.
    """
    last, nearest = None, torch.empty(0)
    for views, order, passed in buffers(store, budget, seed, device, skip, lambda views: views // min(size, views)):
        if len(views) < 2:
            raise SmoosegError("views take neighbours among each other, so two of them are needed; give more images")
        if views is not last:
            last, nearest = views, nearest_neighbours(views, neighbours).cpu()
        order = torch.arange(len(views)) if order is None else order.cpu()
        length = min(size, len(order))
        for take in order.split(length)[passed : len(order) // length]:
            choice = torch.randint(nearest.shape[1], (length,), generator=generator)
            partner = nearest[take, choice]
            yield views[take.to(views.device)].to(device), views[partner.to(views.device)].to(device)
