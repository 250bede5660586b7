"""Thresholds b1 and b2 from the closeness of cached features alone: no label, no training."""

import logging

import torch
import torch.nn.functional as F

from .reader import shuffled_batches
from .store import Store

VIEWS, PATCHES = 256, 64  # that are looked at: a million pairs of each kind, read in a second
LEVEL = 0.95  # quantile of the closeness within images
AUTO = "auto"


@torch.inference_mode()
def sampled_closeness(store: Store, mean: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Closeness as the energy sees it, of patch pairs within images and across them.

    Args:
        store: Training features.
        mean: (channels,) subtracted from every feature.
        seed: Of views and patches.

    Returns:
        float32 (views, PATCHES, PATCHES) within, without a patch's closeness to itself (views, PATCHES * (PATCHES - 1)),
        and across, each image with the next (views, PATCHES * PATCHES); rows centred, their mean added back.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(store.shape[1], generator=generator)[:PATCHES]
    batches, parts = shuffled_batches(store, store.chunk, store.chunk, seed), []
    for _ in range(-(-min(VIEWS, store.views) // store.chunk)):
        parts.append(F.normalize(next(batches)[:, drawn].float() - mean, dim=-1))
    features = torch.cat(parts)
    within, across = (features @ other.transpose(1, 2) for other in (features, features.roll(1, 0)))
    within, across = (c - c.mean(2, keepdim=True) + c.mean() for c in (within, across))
    itself = torch.eye(len(drawn), dtype=torch.bool)
    return within[:, ~itself], across.flatten(1)


def choose_thresholds(settings: dict, store: Store, mean: torch.Tensor, seed: int) -> dict:
    """Settings whose thresholds are numbers; those that are ``auto`` are chosen from the features.

    b1 is the mean closeness across images: patches of one image attract if they are closer than
    patches of different images are on average. b2 is the 95 % quantile within images: patches of
    different images attract only if they are as close as the closest of one image. docs/thresholds.md
    says why these.

    Args:
        settings: With b1 and b2, each a number or ``auto``.
        store, mean, seed: As for :func:`sampled_closeness`.
    """
    chosen = [key for key in ("b1", "b2") if settings[key] == AUTO]
    if not chosen:
        return settings
    within, across = sampled_closeness(store, mean, seed)
    found = {"b1": float(across.mean()), "b2": float(within.flatten().kthvalue(int(LEVEL * within.numel())).values)}
    for key in chosen:
        logging.info("%s: auto gives %.4f", key, found[key])
    return settings | {key: found[key] for key in chosen}
