"""Hidden positives: which patches of a batch belong together, and what a patch takes in of its neighbours."""

import torch

from ..parts.positions import grid_side

QUANTILES = 0.1, 0.9  # of a patch's closeness to the others, beyond which it is cut off
BLOCK = 4096  # patches compared with a pool at once


def reach(features: torch.Tensor, pool: torch.Tensor) -> torch.Tensor:
    """Closeness of each patch to what is closest to it in a pool of other images' patches.

    Args:
        features: (patches, channels), normalised.
        pool: (size, channels), normalised.

    Returns:
        (patches,); what is closer to the patch than this is its hidden positive.

    Source:
        Seong et al. 2023, section 3.1.
    """
    return torch.cat([(block @ pool.T).amax(1) for block in features.split(BLOCK)])


def hidden_positives(features: torch.Tensor, reaches: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
    """Whether patches are closer to an anchor than its own reach or theirs; no anchor is its own positive.

    Args:
        features: (patches, channels), normalised.
        reaches: (patches,), of :func:`reach`.
        anchors: int64 (anchors,), which of the patches they are.

    Returns:
        bool (anchors, patches).
    """
    closeness = features[anchors] @ features.T
    found = (closeness > reaches[anchors, None]) | (closeness > reaches)
    return found.scatter_(1, anchors[:, None], False)


def neighbourhood(side: int) -> torch.Tensor:
    """Which patches of a view lie in the 3 x 3 around each: bool (side squared, side squared)."""
    row, column = torch.arange(side**2) // side, torch.arange(side**2) % side
    return ((row[:, None] - row).abs() <= 1) & ((column[:, None] - column).abs() <= 1)


def neighbour_weights(features: torch.Tensor) -> torch.Tensor:
    """Weights with which each patch of a view takes in the 3 x 3 around it.

    The closeness of a patch to all others, cut off at its quantiles, goes through a softmax; what is below the
    mean counts nothing, and neither does what is not near. The released code has the last block's attention in
    place of the closeness.

    Args:
        features: (patches, channels), normalised, of a square view.

    Returns:
        (patches, patches), divided by the number of patches near.

    Source:
        Seong et al. 2023, section 3.2.
    """
    side = grid_side(len(features))
    closeness = features @ features.T
    low, high = closeness.quantile(closeness.new_tensor(QUANTILES), dim=1)
    weights = closeness.clamp(low[:, None], high[:, None]).softmax(1) * side
    near = neighbourhood(side).to(features.device)
    return weights * (near & (weights >= weights.mean(1, keepdim=True))) / near.sum(1, keepdim=True)
