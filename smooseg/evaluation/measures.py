"""What can be said of a head without any label: how it uses its clusters, and whether it agrees with itself."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from ..features.store import Store
from ..heads import Head
from ..running.device import own_randomness

IMAGES = 1000  # at most, evenly spaced, whose pairs of patches give the label penalties
PATCHES = 64  # of an image, drawn at random
SHARPNESS = 0.1  # temperature that turns logits into assignments, as in training
BINS = 40  # of the distributions of the label penalty


def head_measures(head: Head, store: Store, seed: int) -> dict:
    """What :func:`measure_head` finds, and as ``start`` the same of the head as its training began, or None."""
    start = build_untrained(head, seed)
    return measure_head(head, store) | {"start": None if start is None else measure_head(start, store)}


@torch.inference_mode()
def measure_head(head: Head, store: Store, seed: int = 0) -> dict:
    """Measures of a head on evaluation features, whose rows are views and their mirror images by turns.

    Args:
        head: A fitted head.
        store: Evaluation features (2 * images, patches, channels).
        seed: Of the patches that are drawn.

    Returns:
        penalties_within and penalties_across (pairs of patches by label penalty, in equal bins of 0..1);
        explained_variance (share of the normalised features' variance that is between clusters),
        cluster_entropy (of hard cluster use, 1 = all used equally), mirror_agreement (share of patches whose
        cluster is the same in the mirror image), bimodality_within and bimodality_across (four times the
        variance of the label penalty, 1 = half of the pairs agree fully and half not at all; the paper's
        Appendix A asks for a bimodal penalty, neither all 0 nor all 1).
    """
    used, sums = torch.zeros(head.clusters), torch.zeros(head.clusters, head.channels)
    prefix = store.provenance.get("prefix", 0)
    patches = store.shape[1] - prefix
    agreeing, samples, side = [], [], round(patches**0.5)
    drawn = torch.randperm(patches, generator=torch.Generator().manual_seed(seed))[:PATCHES]
    every = -(-store.views // (2 * IMAGES))
    for start, stop in store.blocks(store.chunk):
        features = torch.from_numpy(store.read(start, stop))
        logits = head.logits(head.embed(features)).float()
        clusters = logits.argmax(-1)
        used += clusters.flatten().bincount(minlength=head.clusters)
        unit = F.normalize(features[:, prefix:].float() - head.mean, dim=-1)
        sums.index_add_(0, clusters.flatten(), unit.flatten(0, 1))
        mirrored = clusters[1::2].unflatten(1, (side, side)).flip(2).flatten(1)
        agreeing.append((clusters[0::2] == mirrored).float().mean(1))
        sampled = logits[0::2, drawn][-(start // 2) % every :: every]
        samples.append(F.normalize(F.softmax(sampled / SHARPNESS, dim=-1), dim=-1))
    sample = torch.cat(samples)
    others = sample.roll(len(sample) // 2, 0)  # far away: images that follow each other can be one scene
    penalties = {"within": penalty(sample, sample), "across": penalty(sample, others)}
    if len(sample) == 1:  # its own other
        penalties["across"] = torch.empty(0)
    return {
        "explained_variance": explained_variance(sums, used),
        "cluster_entropy": entropy(used),
        "mirror_agreement": float(torch.cat(agreeing).mean()),
        **{f"bimodality_{name}": bimodality(values) for name, values in penalties.items()},
        **{f"penalties_{name}": histogram(values) for name, values in penalties.items()},
    }


def build_untrained(head: Head, seed: int) -> Head | None:
    """A head as its training began: initialised with the same seed, the mean feature being known by then.

    Returns:
        None where clusters appear only after training (k-means, STEGO): there is nothing to measure before.
    """
    with own_randomness(seed):
        start = type(head)(head.channels, head.clusters, head.settings).eval()
    start.mean.copy_(head.mean)
    return start if start.classifier()[0].any() else None


@torch.inference_mode()
def penalty_counts(head: Head, store: Store, seed: int = 0) -> dict:
    """Penalties and bimodality of :func:`measure_head`, of features whose rows are views without mirror images."""
    prefix = store.provenance.get("prefix", 0)
    drawn = torch.randperm(store.shape[1] - prefix, generator=torch.Generator().manual_seed(seed))[:PATCHES]
    samples = []
    for start in np.linspace(0, store.views - 1, min(IMAGES, store.views)).round().astype(int).tolist():
        logits = head.logits(head.embed(torch.from_numpy(store.read(start, start + 1)))).float()
        samples.append(F.normalize(F.softmax(logits[:, drawn] / SHARPNESS, dim=-1), dim=-1))
    sample = torch.cat(samples)
    penalties = {"within": penalty(sample, sample), "across": penalty(sample, sample.roll(len(sample) // 2, 0))}
    found = {f"penalties_{name}": histogram(values) for name, values in penalties.items()}
    return found | {f"bimodality_{name}": bimodality(values) for name, values in penalties.items()}


def penalty(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Label penalties (images, patches, patches) between normalised assignments (images, patches, K) (Eq. 3)."""
    return (1 - first @ second.transpose(1, 2)).clamp(0, 1)


def histogram(penalties: torch.Tensor) -> list[int]:
    """Number of values in each of :data:`BINS` equal bins of 0..1."""
    return torch.histc(penalties.float(), BINS, 0, 1).long().tolist()


def explained_variance(sums: torch.Tensor, counts: torch.Tensor) -> float:
    """Share of the variance of unit vectors that is between clusters.

    Args:
        sums: (K, channels) summed vectors of each cluster.
        counts: (K,) how many there are in each.
    """
    total = counts.sum()
    overall = (sums.sum(0) / total).square().sum()
    between = (sums.square().sum(1) / counts.clamp_min(1)).sum() / total
    return float((between - overall) / (1 - overall))


def entropy(counts: torch.Tensor) -> float:
    """Entropy of a distribution, as a share of the largest possible."""
    shares = counts / counts.sum()
    return float(torch.special.entr(shares).sum() / math.log(len(counts)))


def bimodality(penalties: torch.Tensor) -> float:
    """Four times the variance of values in 0..1: 0 for one peak, 1 for two equal ones at 0 and 1."""
    return float(4 * penalties.var(correction=0)) if penalties.numel() else float("nan")
