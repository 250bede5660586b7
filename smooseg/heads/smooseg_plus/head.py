"""SmooSeg+: the smoothness prior solved in closed form, then a consensus of clusterings; no gradient step.

With a linear embedding and squared distances instead of label penalties, the smoothness energy within
images has an exact minimiser: directions along which an image's close patches agree although the data
set varies, the first generalised eigenvectors of two covariances.
"""

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
from .consensus import FINE, grown, unit
from .discriminant import discriminant
from .stability import COLUMNS, COMPARED, agreement, smoothness
from .tree import chain, finished, groups

RIDGE = 1e-4  # of the residuals' mean variance: keeps directions without any residual finite
WIDE = 64  # directions of the discriminant
FINEST = 24  # clusters that the discriminant tells apart; more where more are asked
SEEN = 200  # views, about, that the smoothness of cuts is measured on
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
    """A linear projection onto the smoothest directions, and a linear classifier of where a patch points in it.

    The classifier tells the finest clusters of a tree apart. A cut joins them into ``clusters``: a cluster's logit is
    the largest of its finest clusters', so the masks of a finer cut divide those of a coarser one. Clusters keep their
    numbers from cut to cut, see :func:`.tree.groups`. Heads of ``partitions: 0``, and those that earlier versions
    saved, have no tree, and ``merges``, ``heights``, ``sizes`` and ``worth`` of theirs are None.
    """

    projection: torch.Tensor
    weights: torch.Tensor  # (finest, dimensions)
    bias: torch.Tensor  # (finest,)
    merges: torch.Tensor | None  # int64 (finest - 1, 2), see tree.numbered
    heights: torch.Tensor | None  # float32 (finest - 1,), what each merge cost
    sizes: torch.Tensor | None  # float32 (finest,), share of the patches that each was fitted on
    worth: torch.Tensor | None  # float32 (finest - 1, 3), of each cut from two clusters on, see stability.COLUMNS

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__(channels, clusters, settings)
        tree = bool(settings.get("partitions"))
        wanted = settings["dimensions"] or (WIDE if tree else 2 * clusters)
        self.register_buffer("projection", torch.zeros(channels, min(wanted, channels)))
        self.hold(max(FINEST, clusters) if tree else clusters, tree)

    def hold(self, finest: int, tree: bool) -> None:
        """Make room for a number of finest clusters, and for the tree of them if there is one."""
        self.register_buffer("weights", torch.zeros(finest, self.projection.shape[1]))
        self.register_buffer("bias", torch.zeros(finest))
        self.register_buffer("merges", torch.from_numpy(chain(finest)) if tree else None)
        self.register_buffer("heights", torch.zeros(finest - 1) if tree else None)
        self.register_buffer("sizes", torch.full((finest,), 1 / finest) if tree else None)
        self.register_buffer("worth", torch.zeros(finest - 1, len(COLUMNS)) if tree else None)

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        """Take as many finest clusters as a file holds; those of earlier versions hold no tree."""
        if (weights := state_dict.get(f"{prefix}weights")) is not None:
            self.hold(len(weights), f"{prefix}merges" in state_dict)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @property
    def finest(self) -> int:
        """Number of the finest clusters."""
        return len(self.weights)

    def groups(self, clusters: int) -> np.ndarray:
        """Cluster of each finest cluster at a cut: int64 (finest,), see :func:`.tree.groups`."""
        return np.arange(self.finest) if self.merges is None else groups(self.merges.numpy(force=True), clusters)

    @property
    def cuts(self) -> range:
        return super().cuts if self.merges is None else range(2, self.finest + 1)

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        return (features.float() - self.mean) @ self.projection

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.weights, self.bias

    def join(self, logits: torch.Tensor, dim: int = -1) -> torch.Tensor:
        """Of each cluster the largest of its finest clusters' logits, along a dimension."""
        if self.clusters == self.finest:
            return logits
        belongs = torch.from_numpy(self.groups(self.clusters)).to(logits.device)
        parts = [logits.index_select(dim, (belongs == k).nonzero()[:, 0]).amax(dim) for k in range(self.clusters)]
        return torch.stack(parts, dim)

    def raw_centres(self) -> torch.Tensor:
        """As :meth:`Head.raw_centres`, of each cluster the mean of its finest clusters by size."""
        if self.sizes is None:
            return super().raw_centres()
        members = np.eye(self.clusters)[self.groups(self.clusters)].T
        weights = torch.from_numpy(members).to(self.sizes) * self.sizes
        directions = F.normalize(weights @ self.weights, dim=-1)
        return directions * directions.shape[1] ** 0.5

    def learn(self, store: Store, *, seed: int, budget: int, snapshot: Snapshot | None) -> pd.DataFrame:
        """As :meth:`Head.learn`; it takes seconds, so there is no snapshot."""
        began = time.perf_counter()
        signal, residual, sample = covariances(store, self.mean, self.settings, seed, budget)
        cluster = self.agree if self.merges is not None else self.divide
        weights, bias, history = cluster(signal, residual, sample, seed)
        for buffer, values in ((self.weights, weights), (self.bias, bias)):
            buffer.copy_(torch.from_numpy(values))
        if self.worth is not None:
            self.worth[:, 1:] = torch.from_numpy(smoothness(self.finest_maps(store), self.merges.numpy()))
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
        """A discriminant of the finest clusters of the tree that is most like the others of several."""
        s, wanted = self.settings, max(self.projection.shape[1], FINE[0], 2 * self.finest)
        directions = self.project(signal, residual, min(wanted, self.channels))
        spread = np.sqrt(np.einsum("cd,ce,ed->d", directions, residual, directions)).astype(np.float32)
        projections, trees = (sample @ torch.from_numpy(directions)).numpy(), []
        for repeat in progress(range(s["repeats"]), unit="tree", desc="smooth"):
            rng = np.random.default_rng([seed, repeat])
            trees.append(finished(*grown(projections, spread, s["partitions"], self.finest, rng), self.finest))
        cuts = range(2, self.finest + 1)
        alike = agreement([(tree.labels, tree.merges) for tree in trees], cuts)
        tree = trees[alike[[k - 2 for k in COMPARED if k in cuts]].sum((0, 2)).argmax()]
        mean = alike.sum((1, 2)) / max(len(trees) * (len(trees) - 1), 1)
        for buffer, values in ((self.merges, tree.merges), (self.heights, tree.heights), (self.sizes, tree.sizes)):
            buffer.copy_(torch.from_numpy(values))
        self.worth[:, 0] = torch.from_numpy(mean)
        patches = unit(projections[:, : self.projection.shape[1]])
        weights, bias = discriminant(patches, tree.labels, self.finest)
        parted = 1 - mean[self.clusters - 2]
        used = len(np.unique(self.groups(self.clusters)[tree.labels]))
        return weights, bias, {"step": s["partitions"], "loss": parted, "clusters": used}

    @torch.inference_mode()
    def finest_maps(self, store: Store) -> np.ndarray:
        """Finest clusters of some views' patches: int64 (views, rows, columns)."""
        side, found = round(store.shape[1] ** 0.5), []
        for start, stop in list(store.blocks(store.chunk))[:: max(1, store.views // SEEN)]:
            embeddings = F.normalize(self.embed(torch.from_numpy(store.read(start, stop))), dim=-1)
            found.append((embeddings @ self.weights.T + self.bias).argmax(-1))
        return torch.cat(found).unflatten(1, (side, side)).numpy()

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
