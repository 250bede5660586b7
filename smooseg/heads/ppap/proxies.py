"""PPAP's loss: positives found by a proxy that moves to them, negatives that are far from it, the rest left out."""

import torch
import torch.nn.functional as F

from ..parts.contrast import BASE_TEMPERATURE, contrastive_loss


@torch.no_grad()
def propagate(
    anchors: torch.Tensor, features: torch.Tensor, settings: dict
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where a proxy of each anchor moves, and its thresholds there.

    A proxy begins as the anchor. It moves to the mean of the patches that are closer to it than phi, and the further it
    moves, the further phi falls and psi rises. Patches closer to it than phi are then like the anchor, patches less
    close than psi are unlike it; those between are ambiguous.

    Args:
        anchors: float32 (a, d), unit vectors.
        features: float32 (n, d), unit vectors.
        settings: phi and psi, the first thresholds; moves (T); sigma_positive and sigma_ambiguous, by which a
            distance moved is divided before it changes phi and psi.

    Returns:
        float32 (a, d), the proxies, unit vectors; float32 (a, 1) twice, phi and psi.

    Source:
        Seong et al. 2024 (PPAP, ECCV), Section 3.
    """
    proxies = anchors
    phi, psi = (torch.full((len(anchors), 1), settings[key], device=anchors.device) for key in ("phi", "psi"))
    for _ in range(settings["moves"]):
        moved = F.normalize((proxies @ features.T > phi).to(features.dtype) @ features, dim=1)
        distance = 1 - (proxies * moved).sum(1, keepdim=True)
        phi, psi = phi - distance / settings["sigma_positive"], psi + distance / settings["sigma_ambiguous"]
        proxies = moved
    return proxies, phi, psi


@torch.no_grad()
def masks(rows: torch.Tensor, features: torch.Tensor, settings: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Positives and negatives of anchors: bool (a, n) twice; an anchor is not its own.

    Args:
        rows: int64 (a,), which of the patches are anchors.
        features: float32 (n, d), unit vectors.
        settings: Those of :func:`propagate`.
    """
    proxies, phi, psi = propagate(features[rows], features, settings)
    cosines = (proxies @ features.T).scatter_(1, rows[:, None], torch.nan)  # which is neither more nor less
    return cosines > phi, cosines < psi


def proxy_loss(
    features: torch.Tensor, embeddings: torch.Tensor, index: torch.Tensor, settings: dict
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of a batch: anchors of a view against the patches of all views, a view at a time.

    Each anchor that has positives counts alike, and so does each of its positives.

    Args:
        features: float32 (views, patches, channels), which positives and negatives are found by.
        embeddings: float32 (views, patches, d), which are trained.
        index: int64 (views, a), which patches of each view are anchors.
        settings: Those of :func:`propagate`, and temperature (tau).

    Returns:
        The loss, mean over views, and the mean share of patches that are positives of an anchor.

    Source:
        Seong et al. 2024, Section 3; the factor tau / 0.07 is the released code's.
    """
    units, embedded = (F.normalize(rows, dim=-1).flatten(0, 1) for rows in (features, embeddings))
    temperature, losses, shares = settings["temperature"], [], []
    for view, patches in enumerate(index):
        rows = view * features.shape[1] + patches
        positive, negative = masks(rows, units, settings)
        weights = positive / positive.sum(1, keepdim=True).clamp_min(1)
        losses.append(contrastive_loss(embedded[rows], embedded, weights, positive | negative, temperature))
        shares.append(positive.float().mean())
    return temperature / BASE_TEMPERATURE * torch.stack(losses).mean(), torch.stack(shares).mean()
