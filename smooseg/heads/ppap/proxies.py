"""PPAP's loss: positives found by a proxy that moves to them, negatives that are far from it, the rest left out."""

import torch
import torch.nn.functional as F

RELEASED_TEMPERATURE = 0.07  # by which the released loss divides its own


@torch.no_grad()
def propagated(
    anchors: torch.Tensor, features: torch.Tensor, settings: dict
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Patches that a proxy of each anchor takes for like it, and for unlike it; those between are ambiguous.

    A proxy begins as the anchor. It moves to the mean of the patches that are closer to it than phi, and the further it
    moves, the further phi falls and psi rises.

    Args:
        anchors: float32 (a, d), unit vectors.
        features: float32 (n, d), unit vectors.
        settings: phi and psi, the first thresholds; moves (T); sigma_positive and sigma_ambiguous, by which a
            distance moved is divided before it changes phi and psi.

    Returns:
        bool (a, n), positives and negatives, and float32 (a, d), the proxies.

    Source:
        Seong et al. 2024 (PPAP, ECCV), Section 3.
    """
    proxies = anchors
    phi, psi = (torch.full((len(anchors), 1), settings[key], device=anchors.device) for key in ("phi", "psi"))
    cosines = proxies @ features.T
    for _ in range(settings["moves"]):
        moved = F.normalize((cosines > phi).to(features.dtype) @ features, dim=1)
        distance = 1 - (proxies * moved).sum(1, keepdim=True)
        phi, psi = phi - distance / settings["sigma_positive"], psi + distance / settings["sigma_ambiguous"]
        proxies = moved
        cosines = proxies @ features.T
    return cosines > phi, cosines < psi, proxies


def contrast(
    anchors: torch.Tensor, others: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Contrastive loss of anchors against their positives, mean over those and then over anchors that have any.

    Args:
        anchors: float32 (a, d), unit vectors.
        others: float32 (n, d), unit vectors.
        positive, negative: bool (a, n); what is neither is in no sum.
        temperature: tau.

    Returns:
        A scalar; 0 where no anchor has a positive.

    Source:
        Seong et al. 2024, Section 3; the factor tau / 0.07 is the released code's.
    """
    some = positive.any(1)
    positive, logits = positive[some], anchors[some] @ others.T / temperature
    every = logits.masked_fill(~(positive | negative[some]), -torch.inf).logsumexp(1)
    likelihood = (logits * positive).sum(1) / positive.sum(1) - every
    return -temperature / RELEASED_TEMPERATURE * likelihood.sum() / some.sum().clamp_min(1)


def proxy_loss(
    features: torch.Tensor, embeddings: torch.Tensor, index: torch.Tensor, settings: dict
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of a batch: anchors of a view against the patches of all views, a view at a time.

    Args:
        features: float32 (views, patches, channels), which positives and negatives are found by.
        embeddings: float32 (views, patches, d), which are trained.
        index: int64 (views, a), which patches of each view are anchors.
        settings: Those of :func:`propagated`, and temperature.

    Returns:
        The loss, mean over views, and the mean share of patches that are positives of an anchor.
    """
    units, embedded = (F.normalize(rows, dim=-1).flatten(0, 1) for rows in (features, embeddings))
    losses, shares = [], []
    for view, patches in enumerate(index):
        rows = view * features.shape[1] + patches
        positive, negative, _ = propagated(units[rows], units, settings)
        for mask in (positive, negative):
            mask[torch.arange(len(rows)), rows] = False  # an anchor is not its own
        losses.append(contrast(embedded[rows], embedded, positive, negative, settings["temperature"]))
        shares.append(positive.float().mean())
    return torch.stack(losses).mean(), torch.stack(shares).mean()
