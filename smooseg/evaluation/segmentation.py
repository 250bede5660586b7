"""From features and a head to label maps: mirror averaging, upsampling, classification."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from ..features.store import Store
from ..heads import Head
from ..heads.parts.epsilon import EPSILON


@torch.inference_mode()
def averaged_embeddings(head: Head, features: torch.Tensor, shape: tuple[int, int] | None = None) -> torch.Tensor:
    """Embedding grids, each the mean of an image's and its mirror image's; the image's alone if not ``head.mirror``.

    Args:
        head: A fitted head.
        features: (2 * images, tokens, channels): every image's view, then its mirror image.
        shape: Rows and columns of patches; None for square views.

    Returns:
        float32 (images, dimensions, rows, columns).
    """
    embeddings = head.embed(features if head.mirror else features[0::2])
    side = round(embeddings.shape[1] ** 0.5)
    grids = embeddings.unflatten(1, shape or (side, side))
    if head.mirror:
        grids = (grids[0::2] + grids[1::2].flip(2)).div(2)
    return grids.permute(0, 3, 1, 2)


def upsampling_matrix(side: int, size: int) -> torch.Tensor:
    """Bilinear weights (size, side) along one axis, align_corners false; only neighbours mix in a row."""
    return F.interpolate(torch.eye(side)[None], size, mode="linear", align_corners=False)[0].T.contiguous()


@torch.inference_mode()
def pixel_logits(head: Head, grid: torch.Tensor, size: int | tuple[int, int]) -> torch.Tensor:
    """Cluster logits of every pixel, as if the embeddings were upsampled first and classified after.

    Upsampling is linear, so products with the classifier are upsampled instead (a map for each output, not D). The
    norm of an upsampled embedding, by which cosines are divided, follows from the norms of, and products
    between, its neighbours: no map of D dimensions at full size is ever made, and the result is exact.

    Args:
        head: A fitted head.
        grid: (dimensions, rows, columns), one image.
        size: Side of the view in pixels, or its height and width.

    Returns:
        float32 (clusters, height, width).
    """
    weights, bias = head.classifier()
    height, width = (size, size) if isinstance(size, int) else size
    down, right = upsampling_matrix(grid.shape[1], height), upsampling_matrix(grid.shape[2], width)
    across = grid @ right.T  # (D, rows, width): columns are upsampled, rows are not yet
    upsampled = down @ torch.tensordot(weights, across, 1)
    if not head.cosine:
        return head.join(upsampled + bias[:, None, None], 0)
    squares, products = across.square().sum(0), (across[:, 1:] * across[:, :-1]).sum(0)
    norm = (down.square() @ squares + 2 * (down[:, 1:] * down[:, :-1]) @ products).clamp_min(EPSILON).sqrt()
    return head.join(upsampled / norm + bias[:, None, None], 0)


def image_logits(head: Head, store: Store, start: int, stop: int, size: int) -> Iterator[torch.Tensor]:
    """Pixel logits of the images whose views are rows ``start`` to ``stop`` of an evaluation store."""
    for grid in averaged_embeddings(head, torch.from_numpy(store.read(start, stop))):
        yield pixel_logits(head, grid, size)


def best_clusters(logits: torch.Tensor) -> np.ndarray:
    """The cluster with the largest logit of every pixel, the first of equals.

    Args:
        logits: (clusters, height, width), of 256 clusters at most.

    Returns:
        uint8 (height, width).
    """
    return logits.max(0).indices.to(torch.uint8).numpy()  # argmax gives the same, in four times the time
