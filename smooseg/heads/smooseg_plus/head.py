"""SmooSeg+: the smoothness prior solved in closed form, then a consensus of clusterings; no gradient step.

With a linear embedding and squared distances instead of label penalties, the smoothness energy within
images has an exact minimiser: directions along which an image's close patches agree although the data
set varies, the first generalised eigenvectors of two covariances.
"""

import logging
import time

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.linalg import eigh
from sklearn.cluster import KMeans

from ...features.reader import shuffled_batches
from ...features.store import Store
from ...running.device import default_device
from ...running.progress import progress
from ..base import Head
from ..snapshot import Snapshot
from .consensus import FINE, consensus, most_typical, refined, unit

LOG = logging.getLogger(__name__)
RIDGE = 1e-4  # of the residuals' mean variance: keeps directions without any residual finite
WIDE = 64  # directions of the discriminant
FLOOR = 1e-6  # of the largest ratio or mean variance: what is below it is rounding, and no direction


def smoothed(features: torch.Tensor, temperature: float) -> torch.Tensor:
    """Each patch as the mean of its image's patches, weighted by a softmax of their closeness.

    Args:
        features: (images, patches, channels), unit vectors.
        temperature: Of the softmax; lower keeps to closer patches.
    """
    heads = features.unsqueeze(1)  # as attention has them: the fused kernel makes no (patches x patches) matrix
    return F.scaled_dot_product_attention(heads, heads, heads, scale=1 / temperature).squeeze(1)


def smooth_directions(signal: np.ndarray, residual: np.ndarray, dimensions: int) -> np.ndarray:
    """Directions of largest smoothed against residual variance, scaled to unit smoothed variance.

    Args:
        signal: (channels, channels) second moments of smoothed features.
        residual: (channels, channels) those of what smoothing took away.
        dimensions: How many.

    Returns:
        float32 (channels, dimensions); zero where the features have fewer directions than that.

    Source:
        Locality preserving projections (He and Niyogi 2003), with the closeness of Eq. 2 as weights.
    """
    channels = len(signal)
    ridge = (RIDGE * np.trace(residual) + FLOOR * np.trace(signal)) / channels * np.eye(channels)
    values, vectors = eigh(signal, residual + ridge, subset_by_index=[channels - dimensions, channels - 1])
    scales = np.where(values > FLOOR * values[-1], 1 / np.sqrt(np.maximum(values, FLOOR * values[-1])), 0)
    return np.ascontiguousarray((vectors * scales)[:, ::-1], np.float32)


class SmooSegPlusHead(Head):
    """A linear projection onto the smoothest directions, and a linear classifier of where a patch points in it."""

    projection: torch.Tensor
    weights: torch.Tensor
    bias: torch.Tensor

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__(channels, clusters, settings)
        wanted = settings["dimensions"] or (WIDE if settings["partitions"] else 2 * clusters)
        self.register_buffer("projection", torch.zeros(channels, min(wanted, channels)))
        self.register_buffer("weights", torch.zeros(clusters, self.projection.shape[1]))
        self.register_buffer("bias", torch.zeros(clusters))

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        return (features.float() - self.mean) @ self.projection

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.weights, self.bias

    def learn(self, store: Store, *, seed: int, budget: int, snapshot: Snapshot | None) -> pd.DataFrame:
        """As :meth:`Head.learn`; it takes seconds, so there is no snapshot."""
        began = time.perf_counter()
        signal, residual, sample = covariances(store, self.mean, self.settings, seed, budget)
        cluster = self.agree if self.settings["partitions"] else self.divide
        weights, bias, history = cluster(signal, residual, sample, seed)
        for buffer, values in ((self.weights, weights), (self.bias, bias)):
            buffer.copy_(torch.from_numpy(values))
        history["steps_per_second"] = history["step"] / (time.perf_counter() - began)
        return pd.DataFrame([history])

    def project(self, signal: np.ndarray, residual: np.ndarray, dimensions: int) -> np.ndarray:
        """Directions, as :func:`smooth_directions` has them, the first of which become the projection."""
        directions = smooth_directions(signal, residual, dimensions)
        self.projection.copy_(torch.from_numpy(directions[:, : self.projection.shape[1]]))
        return directions

    def agree(
        self, signal: np.ndarray, residual: np.ndarray, sample: torch.Tensor, seed: int
    ) -> tuple[np.ndarray, np.ndarray, dict]:
        """A discriminant of what random partitions agree on: of several consensuses the one most like the others."""
        s, wanted = self.settings, max(self.projection.shape[1], FINE[0], 2 * self.clusters)
        directions = self.project(signal, residual, min(wanted, self.channels))
        spread = np.sqrt(np.einsum("cd,ce,ed->d", directions, residual, directions)).astype(np.float32)
        projections = (sample @ torch.from_numpy(directions)).numpy()
        patches, found, losses = unit(projections[:, : self.projection.shape[1]]), [], []
        for repeat in progress(range(s["repeats"]), unit="consensus", desc="smooth"):
            labels, loss = consensus(projections, spread, self.clusters, s, np.random.default_rng([seed, repeat]))
            found.append(refined(patches, labels, self.clusters, s["relabellings"]))
            losses.append(loss)
        chosen = most_typical([labels for labels, _, _ in found])
        labels, weights, bias = found[chosen]
        LOG.info("consensus: %d patches, %.4f of the pairs in a cluster parted", len(patches), losses[chosen])
        return weights, bias, {"step": s["partitions"], "loss": losses[chosen], "clusters": len(np.unique(labels))}

    def divide(
        self, signal: np.ndarray, residual: np.ndarray, sample: torch.Tensor, seed: int
    ) -> tuple[np.ndarray, np.ndarray, dict]:
        """k-means, the first recipe: half the negative squared distance to each centroid, up to a constant."""
        directions = self.project(signal, residual, self.projection.shape[1])
        model = smooth_kmeans(sample, directions, self.clusters, self.settings["starts"], seed)
        centroids, loss = model.cluster_centers_, model.inertia_ / len(sample)
        used = len(np.unique(model.labels_))
        return centroids, -0.5 * (centroids**2).sum(1), {"step": model.n_iter_, "loss": loss, "clusters": used}


def smooth_kmeans(sample: torch.Tensor, directions: np.ndarray, clusters: int, starts: int, seed: int) -> KMeans:
    """Clusters of smoothed patches (patches, channels) by where they point in the space of some directions."""
    return KMeans(clusters, n_init=starts, random_state=seed).fit(projected(sample, directions))


def projected(patches: torch.Tensor, directions: np.ndarray) -> np.ndarray:
    """Unit vectors (patches, dimensions) of patches (patches, channels) in the space of some directions."""
    return F.normalize(patches @ torch.from_numpy(directions), dim=-1).numpy()


@torch.inference_mode()
def covariances(
    store: Store, mean: torch.Tensor, settings: dict, seed: int, budget: int
) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
    """One pass over random views: second moments of smoothed features and of residuals, and smoothed patches.

    Args:
        store: Training features.
        mean: (channels,) subtracted from every feature.
        settings: views (at most), samples (patches to return, about) and temperature.
        seed: Of views and patches.
        budget: Bytes of features to hold in memory.

    Returns:
        Two float64 (channels, channels) and float32 (samples, channels).
    """
    device, generator = default_device(), torch.Generator().manual_seed(seed)
    views = min(store.views, settings["views"])
    each = min(store.shape[1], -(-settings["samples"] // views))
    moments = torch.zeros(2, store.shape[-1], store.shape[-1], dtype=torch.float64, device=device)
    batches, parts = shuffled_batches(store, store.chunk, budget, seed, device), []
    for _ in progress(range(-(-views // store.chunk)), unit="block", desc="smooth"):
        features = F.normalize(next(batches).float() - mean.to(device), dim=-1)
        smooth = smoothed(features, settings["temperature"])
        for total, rows in zip(moments, (smooth.flatten(0, 1), (features - smooth).flatten(0, 1)), strict=True):
            total += rows.T @ rows
        drawn = torch.randperm(store.shape[1], generator=generator)[:each].to(device)
        parts.append(smooth[:, drawn].flatten(0, 1).cpu())
    signal, residual = (moments / moments[0].trace()).cpu().numpy()
    return signal, residual, torch.cat(parts)
