"""The energy: the smoothness term in linear time (Eq. 4) and the data term (Eq. 6).

The penalty in Eq. 4 is not clamped, so its double sum over patch pairs factorises: with rows
L2-normalised, everything a pair of images needs is, per image, ``G = X^T A`` (channels x clusters),
the mean feature and the summed assignment. Cost O(N C K), and nothing of size N x N exists.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..parts.epsilon import EPSILON


@dataclass(frozen=True)
class Moments:
    """What the smoothness term needs of each image of a batch.

    ``products`` (batch, channels, clusters): X^T A; ``mean`` (batch, channels): mean feature;
    ``mass`` (batch, clusters): sum of the assignments over patches; ``patches``: N.
    """

    products: torch.Tensor
    mean: torch.Tensor
    mass: torch.Tensor
    patches: int


def image_moments(features: torch.Tensor, assignments: torch.Tensor) -> Moments:
    """Moments of each image, shared by the within term and by every across pair.

    Args:
        features: (batch, patches, channels), any scale: rows are normalised here, without a copy.
        assignments: (batch, patches, clusters), non-negative; rows are normalised here.
    """
    patches = features.shape[1]
    accurate = torch.promote_types(features.dtype, torch.float32)
    norm = torch.linalg.vector_norm(features, dim=-1, keepdim=True, dtype=accurate)
    inverse_norm = norm.clamp_min(EPSILON).reciprocal()
    normalised = F.normalize(assignments, dim=-1)
    columns = torch.cat([normalised * inverse_norm, inverse_norm / patches], dim=-1)
    products = (features.transpose(1, 2) @ columns.to(features.dtype)).to(accurate)  # one pass gives G and the mean
    return Moments(products[..., :-1], products[..., -1], normalised.sum(1), patches)


def smoothness(moments: Moments, partner: torch.Tensor | None, threshold: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Smoothness energy of each image with its partner, averaged over the batch.

    The closeness is row-centred and the batch's mean closeness ``c`` is added back, as published
    scores assume: ``W - rowmean(W) + c``. The result is the mean over batch, p and q of
    ``(closeness - threshold) * delta``.

    Args:
        moments: Of the batch.
        partner: (batch,) index of each image's partner; None pairs each image with itself (within).
        threshold: b1 (within) or b2 (across).

    Returns:
        The energy, and the mean label penalty delta in 0..1; both scalars.

    Source:
        Eqs. 2 to 4.
    """
    products, mean, mass = moments.products, moments.mean, moments.mass
    if partner is None:
        other_products, other_mean, other_mass = products, mean, mass
    else:
        other_products, other_mean, other_mass = products[partner], mean[partner], mass[partner]
    pairs = moments.patches**2
    offset = (mean * other_mean).sum(-1).mean() - threshold
    agreement = (mass * other_mass).sum(-1) / pairs  # mean over p, q of a_p . a'_q
    centred = other_products - other_mean.unsqueeze(-1) * other_mass.unsqueeze(1)
    close_agreement = (products * centred).sum((1, 2)) / pairs
    energy = offset - (close_agreement + offset * agreement).mean()
    return energy, 1 - agreement.mean()


def data_term(student_logits: torch.Tensor, pseudo_labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the student against the teacher's hard labels, mean over patches.

    Args:
        student_logits: (..., clusters) cosines.
        pseudo_labels: int64 (...), the teacher's argmax.

    Source:
        Eq. 6.
    """
    return F.cross_entropy(student_logits.flatten(0, -2), pseudo_labels.flatten())
