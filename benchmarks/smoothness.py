"""The smoothness term, within and across, forward and backward: closed form against the N x N matrices."""

import torch
import torch.nn.functional as F

from benchmarks.common import best_time, in_process, row
from smooseg.heads.parts.partners import random_partners
from smooseg.heads.smooseg.energy import image_moments, smoothness

BATCH, PATCHES, CHANNELS, CLUSTERS = 32, 784, 384, 27  # ViT-S/8 at 224 on COCO-Stuff
B1, B2 = -0.02, 0.5


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features, assignments with gradient, partners."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(BATCH, PATCHES, CHANNELS, generator=generator)
    assignments = torch.rand(BATCH, PATCHES, CLUSTERS, generator=generator).requires_grad_()
    return features, assignments, random_partners(BATCH, generator)


def from_moments(features: torch.Tensor, assignments: torch.Tensor, partner: torch.Tensor) -> torch.Tensor:
    """Both terms from one set of moments."""
    moments = image_moments(features, assignments)
    return smoothness(moments, None, B1)[0] + smoothness(moments, partner, B2)[0]


def dense(features: torch.Tensor, assignments: torch.Tensor, partner: torch.Tensor) -> torch.Tensor:
    """Both terms as Eq. 4 writes them."""
    x, a = F.normalize(features, dim=-1), F.normalize(assignments, dim=-1)
    total = 0
    for other, threshold in ((slice(None), B1), (partner, B2)):
        closeness = x @ x[other].transpose(1, 2)
        closeness = closeness - closeness.mean(-1, keepdim=True) + closeness.mean()
        total = total + ((closeness - threshold) * (1 - a @ a[other].transpose(1, 2))).mean()
    return total


def measure(name: str, repeats: int) -> tuple[float, float]:
    """Seconds of a forward and backward pass, and the loss."""
    form, (features, assignments, partner) = globals()[name], inputs()
    loss = form(features, assignments, partner).item()
    return best_time(lambda: form(features, assignments, partner).backward(), repeats), loss


def run() -> list[dict]:
    """Time, peak memory and difference of the two forms."""
    (ours, loss), memory = in_process(measure, "closed", 15)
    (theirs, reference), dense_memory = in_process(measure, "dense", 3)
    ratio, saved, difference = theirs / ours, dense_memory / memory, abs(loss / reference - 1)
    ratio, saved, difference = theirs / ours, dense_memory / memory, abs(loss / reference - 1)
    return [
        row("smoothness term, both, forward and backward (ms)", 1e3 * ours, 1e3 * theirs, ratio, "higher", 25),
        row("smoothness term, peak memory with inputs (MB)", memory / 1e6, dense_memory / 1e6, saved, "higher"),
        row("smoothness term, loss in float32", loss, reference, difference, "lower", 1e-3),
    ]
