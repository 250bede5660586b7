"""The contrast that draws patches to their positives, among candidates; how these are found is left open."""

import torch

BASE_TEMPERATURE = 0.07  # of the supervised contrastive loss that HP and PPAP are built on: theirs is relative to it
NEVER = -1e4  # a similarity whose exponential is 0, and whose gradient is no NaN where a row has no other


def contrastive_loss(
    anchors: torch.Tensor,
    others: torch.Tensor,
    weights: torch.Tensor,
    candidates: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """Minus the mean log-probability of positives, by their weights. The probability is a softmax over candidates.

    Args:
        anchors: (n, d), normalised.
        others: (m, d), normalised.
        weights: float or bool (n, m), of the positives; 0 elsewhere. Together at least 1, unless there is none.
        candidates: bool (n, m). A positive need not be one.
        temperature: Of the softmax.

    Returns:
        A scalar, 0 where no pair is positive.

    Source:
        Khosla et al. 2020, Eq. 2; the weights are the released code's of the heads that use it.
    """
    similarity = anchors @ others.T / temperature
    normaliser = similarity.masked_fill(~candidates, NEVER).logsumexp(1, keepdim=True)
    return (weights * (normaliser - similarity)).sum() / weights.sum().clamp_min(1)
