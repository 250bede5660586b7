"""Thresholds b1 and b2 from the closeness of cached features alone: no label, no training."""

import logging

import torch
import torch.nn.functional as F

from ...errors import SmoosegError
from ...features.reader import shuffled_batches
from ...features.store import Store

LOG = logging.getLogger(__name__)
VIEWS, PATCHES = 256, 64  # that are looked at: a million pairs, read in a second
LEVELS = {"b1": 0.25, "b2": 0.95}  # quantiles of the closeness within images; docs/thresholds.md says why these
AUTO = "auto"


@torch.inference_mode()
def sampled_closeness(store: Store, mean: torch.Tensor, seed: int) -> torch.Tensor:
    """Closeness of patch pairs within images as the energy sees it, without that of a patch to itself.

    Args:
        store: Training features.
        mean: (channels,) subtracted from every feature.
        seed: Of views and patches.

    Returns:
        float32 (views, pairs); rows of the closeness matrix are centred and its mean is added back.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(store.shape[1], generator=generator)[:PATCHES]
    batches, parts = shuffled_batches(store, store.chunk, store.chunk, seed), []
    for _ in range(-(-min(VIEWS, store.views) // store.chunk)):
        parts.append(F.normalize(next(batches)[:, drawn].float() - mean, dim=-1))
    features = torch.cat(parts)
    closeness = features @ features.mT
    centred = closeness - closeness.mean(2, keepdim=True) + closeness.mean()
    return centred[:, ~torch.eye(len(drawn), dtype=torch.bool)]


def choose_thresholds(settings: dict, store: Store, mean: torch.Tensor, seed: int) -> dict:
    """Settings whose thresholds are numbers; those that are ``auto`` are chosen from the features.

    b1 is the lower quartile of the closeness within images: a quarter of an image's pairs repel. b2 is its
    95 % quantile: patches of different images attract only if they are as close as the closest of one image.

    Args:
        settings: With b1 and b2, each a number or ``auto``.
        store, mean, seed: As for :func:`sampled_closeness`.

    Raises:
        SmoosegError: If a view has a single patch.
    """
    chosen = [key for key in LEVELS if settings[key] == AUTO]
    if not chosen:
        return settings
    closeness = sampled_closeness(store, mean, seed).flatten()
    if not closeness.numel():
        raise SmoosegError(f"{store.path}: views of one patch have no pairs to choose {' and '.join(chosen)} from")
    found = {key: float(closeness.kthvalue(max(1, round(LEVELS[key] * closeness.numel()))).values) for key in chosen}
    LOG.info("thresholds from %d pairs of patches: %s", closeness.numel(), found)
    return settings | found
