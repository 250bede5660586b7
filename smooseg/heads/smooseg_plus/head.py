"""SmooSeg+: the smoothness prior solved in closed form, then a tree of clusters; no gradient step."""

import time

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from ...features.store import Store
from ...running.machine import usable_cores
from ...running.parallel import in_threads
from ..base import FEWEST, Head
from ..parts.clustering import require_patches
from ..parts.positions import grid_side
from ..snapshot import Snapshot
from .consensus import FINE, grow_tree, scale_to_unit
from .directions import covariances, smooth_directions, smooth_patches
from .discriminant import discriminant
from .stability import COLUMNS, COMPARED, agreement, contents, explain, least_clusters, recommend, smoothness
from .tree import Tree, chain, finish_tree, groups

WIDE = 64  # directions of the discriminant
FINEST = 32  # clusters that the discriminant tells apart; more where more are asked
SEEN = 200  # views, about, that the smoothness of cuts is measured on


class SmooSegPlusHead(Head):
    """A linear projection onto the smoothest directions, and a linear classifier of where a patch points in it.

    The classifier tells the finest clusters of a tree apart. A cut joins them into ``clusters``: a cluster's logit is
    the largest of its finest clusters', so the masks of a finer cut divide those of a coarser one. Clusters keep their
    numbers from cut to cut, see :func:`.tree.groups`. Heads of ``partitions: 0``, and those that earlier versions
    saved, have no tree, and ``merges`` and all that is of the tree is None.
    """

    projection: torch.Tensor
    weights: torch.Tensor  # (finest, dimensions)
    bias: torch.Tensor  # (finest,)
    merges: torch.Tensor | None  # int64 (finest - 1, 2), see tree.numbered
    heights: torch.Tensor | None  # float32 (finest - 1,), what each merge cost
    sizes: torch.Tensor | None  # float32 (finest,), share of the patches that each was fitted on
    chooses = False  # whether learn chooses the number of clusters
    contents: torch.Tensor | None  # float32 (), see stability.contents
    least: torch.Tensor | None  # int64 (), see stability.least_clusters
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
        self.register_buffer("contents", torch.zeros(()) if tree else None)
        self.register_buffer("least", torch.tensor(FEWEST) if tree else None)
        self.register_buffer("worth", torch.zeros(finest - 1, len(COLUMNS)) if tree else None)

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        """Take as many finest clusters as a file holds; those of earlier versions hold no tree."""
        if (weights := state_dict.get(f"{prefix}weights")) is not None:
            self.hold(len(weights), f"{prefix}merges" in state_dict)
            if self.merges is not None:
                state_dict.setdefault(f"{prefix}least", torch.tensor(FEWEST))  # the first trees hold none
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @property
    def finest(self) -> int:
        """Number of the finest clusters."""
        return len(self.weights)

    def groups(self, clusters: int) -> np.ndarray:
        """Cluster of each finest cluster at a cut: int64 (finest,), see :func:`.tree.groups`."""
        return np.arange(self.finest) if self.merges is None else groups(self.merges.numpy(force=True), clusters)

    @property
    def recommended(self) -> int:
        """Number of clusters to begin with; its own where there is no tree."""
        return self.clusters if self.contents is None else recommend(*self.grounds)

    @property
    def advice(self) -> str:
        return "" if self.contents is None else explain(*self.grounds)

    @property
    def grounds(self) -> tuple[float, int, int]:
        """What :func:`.stability.recommend` takes."""
        assert self.contents is not None and self.least is not None
        return float(self.contents), self.finest, int(self.least)

    @property
    def cuts(self) -> range:
        return super().cuts if self.merges is None else range(FEWEST, self.finest + 1)

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

    def learn(  # type: ignore[override]  # what it is given beside the features
        self,
        store: Store,
        *,
        seed: int,
        budget: int,
        snapshot: Snapshot | None,
        pictures: np.ndarray | None = None,
    ) -> pd.DataFrame:
        """As :meth:`Head.learn`; it takes seconds, so there is no snapshot.

        Args:
            pictures: Number of the picture that each view is of, ascending; None takes every view for a picture.
        """
        began = time.perf_counter()
        if self.merges is not None:
            grid_side(store.shape[1])  # before the work
        signal, residual, sample = covariances(store, self.mean, self.settings, seed, budget)
        if self.merges is None:
            history = self.divide(signal, residual, sample, seed)
        else:
            self.agree(signal, residual, sample, seed)
            history = self.weigh(store, pictures)
        history["steps_per_second"] = history["step"] / (time.perf_counter() - began)
        return pd.DataFrame([history])

    def let_choose(self) -> None:
        if self.merges is None:
            super().let_choose()
        self.chooses = True

    def put(self, **buffers: np.ndarray | int) -> None:
        """Set buffers by name."""
        for name, values in buffers.items():
            getattr(self, name).copy_(torch.from_numpy(np.asarray(values)))

    def project(self, signal: np.ndarray, residual: np.ndarray, dimensions: int) -> np.ndarray:
        """Directions, as :func:`smooth_directions` has them, the first of which become the projection."""
        directions = smooth_directions(signal, residual, dimensions)
        self.projection.copy_(torch.from_numpy(directions[:, : self.projection.shape[1]]))
        return directions

    @threadpool_limits.wrap(limits=1, user_api="blas")  # a core a tree: small products wait longer than they compute
    def agree(self, signal: np.ndarray, residual: np.ndarray, sample: torch.Tensor, seed: int) -> None:
        """Take the tree that is most like the others of several, and a discriminant of its finest clusters."""
        s, wanted = self.settings, max(self.projection.shape[1], FINE[0], 2 * self.finest)
        directions = self.project(signal, residual, min(wanted, self.channels))
        spread = np.sqrt(np.einsum("cd,ce,ed->d", directions, residual, directions)).astype(np.float32)
        projections, cuts = (sample @ torch.from_numpy(directions)).numpy(), self.cuts

        @threadpool_limits.wrap(limits=1, user_api="openmp")  # of the thread that calls
        def grow(repeat: int) -> Tree:
            rng = np.random.default_rng([seed, repeat])
            return finish_tree(*grow_tree(projections, spread, s["partitions"], self.finest, rng), self.finest)

        trees = in_threads(grow, range(s["repeats"]), usable_cores())
        alike = agreement([(tree.labels, tree.merges) for tree in trees], cuts)
        tree = trees[alike[[k - 2 for k in COMPARED if k in cuts]].sum((0, 2)).argmax()]
        pairs = max(len(trees) * (len(trees) - 1), 1)
        self.put(merges=tree.merges, heights=tree.heights, sizes=tree.sizes)
        assert self.worth is not None  # heads with a tree alone come here
        self.worth[:, 0] = torch.from_numpy(alike.sum((1, 2)) / pairs)
        patches = scale_to_unit(projections[:, : self.projection.shape[1]])
        weights, bias = discriminant(patches, tree.labels, self.finest)
        self.put(weights=weights, bias=bias)

    def weigh(self, store: Store, pictures: np.ndarray | None) -> dict:
        """Measure every cut, choose one where that is asked, and say of it how much trees disagree (its loss)."""
        maps, counts = self.look(store, np.arange(store.views) if pictures is None else pictures)
        assert self.merges is not None and self.sizes is not None and self.worth is not None  # learn has asked
        merges = self.merges.numpy()
        self.worth[:, 1:] = torch.from_numpy(smoothness(maps, merges))
        self.put(contents=np.array(contents(counts, merges), np.float32), least=least_clusters(counts, merges))
        if self.chooses:
            self.clusters = self.recommended
        used = torch.from_numpy(self.groups(self.clusters))[self.sizes > 0].unique()
        disagreement = 1 - float(self.worth[self.clusters - FEWEST, 0])
        return {"step": self.settings["partitions"], "loss": disagreement, "clusters": len(used)}

    @torch.inference_mode()
    def look(self, store: Store, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Finest clusters of some pictures' patches.

        Args:
            store: Training features.
            pictures: Number of the picture that each view is of.

        Returns:
            int64 (views, rows, columns), the finest cluster of each patch; (pictures, finest), patches of each once
            they are smoothed.
        """
        side, maps, counts = grid_side(store.shape[1]), [], []
        starts = np.flatnonzero(np.diff(pictures, prepend=-1))
        spans = list(zip(starts.tolist(), [*starts[1:].tolist(), store.views], strict=True))
        for start, stop in spans[:: -(-store.views // SEEN)]:
            features = F.normalize(torch.from_numpy(store.read(start, stop)).float() - self.mean, dim=-1)
            maps.append(self.tell(features).unflatten(1, (side, side)))
            clusters = self.tell(smooth_patches(features, self.settings["temperature"]))
            counts.append(clusters.flatten().bincount(minlength=self.finest))
        return torch.cat(maps).numpy(), torch.stack(counts).numpy()

    def tell(self, patches: torch.Tensor) -> torch.Tensor:
        """Finest cluster of patches (..., channels) without their mean."""
        return (F.normalize(patches @ self.projection, dim=-1) @ self.weights.T + self.bias).argmax(-1)

    def divide(self, signal: np.ndarray, residual: np.ndarray, sample: torch.Tensor, seed: int) -> dict:
        """k-means, the first recipe: half the negative squared distance to each centroid, up to a constant."""
        directions = self.project(signal, residual, self.projection.shape[1])
        patches = F.normalize(sample @ torch.from_numpy(directions), dim=-1).numpy()
        require_patches(len(patches), self.clusters)
        model = KMeans(self.clusters, n_init=self.settings["starts"], random_state=seed).fit(patches)
        centroids, loss = model.cluster_centers_, model.inertia_ / len(sample)
        used = len(np.unique(model.labels_))
        self.put(weights=centroids, bias=-0.5 * (centroids**2).sum(1))
        return {"step": model.n_iter_, "loss": loss, "clusters": used}
