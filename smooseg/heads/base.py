"""The interface every head shares, so that all later stages are shared too."""

import json
import logging
from abc import ABC, abstractmethod
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save
from torch import nn

from ..errors import SmoosegError
from ..features.reader import mean_feature
from ..features.store import Store
from ..running.device import own_randomness
from ..running.files import write_whole
from ..settings.heads import AUTO
from ..settings.renamed import head_name
from .snapshot import Snapshot

FEWEST = 2  # clusters
LOG = logging.getLogger(__name__)
FEW_VIEWS = 200  # the demo has 600, and none of even 60 clusters is one of theirs
NARROW = 0.8  # share of a cluster's patches in one view, from which it is that view's
TOLERATED = 0.2  # share of such clusters: some things are in one picture only


class Head(nn.Module, ABC):
    """Maps patch features to embeddings, and the direction of an embedding to cluster logits.

    Args:
        channels: Channels of the features.
        clusters: Number of clusters K.
        settings: The head's hyperparameters, with every default filled in.
    """

    schema: ClassVar[dict] = {}  # of another package's head: settings, needs, inputs; ours are in the workflow's schema
    mirror = True  # whether an image's embeddings are averaged with those of its mirror image, as most releases do
    cosine = True  # whether the classifier takes directions of embeddings; else it takes embeddings as they are
    sharpness = 2.0  # by which the CRF multiplies logits before their softmax, as the release of the method does
    mean: torch.Tensor

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__()
        self.channels, self.clusters, self.settings = channels, clusters, settings
        self.register_buffer("mean", torch.zeros(channels))  # subtracted from every feature

    @classmethod
    def fit(
        cls,
        store: Store,
        clusters: int | str,
        settings: dict,
        *,
        seed: int,
        budget: int,
        snapshot: Snapshot | None = None,
        **inputs: Any,
    ) -> tuple["Head", pd.DataFrame]:
        """Train a new head on a store alone.

        Args:
            store: Training features.
            clusters: Number of clusters K; "auto" lets a head that holds several numbers choose one.
            settings: Hyperparameters of the head.
            seed: Fixes initialisation and order.
            budget: Bytes of features to hold in memory.
            snapshot: Where a long training keeps its state, and goes on from; the result is the same without.
            inputs: What else its schema asks for: ``weights``, the backbone's safetensors file. ``labels`` of the
                same views are for :data:`smooseg.settings.heads.SUPERVISED` heads alone.

        Returns:
            The head on the CPU in evaluation mode, and its history (one row per recorded step).
        """
        with own_randomness(seed):
            head = cls(store.shape[-1], FEWEST if isinstance(clusters, str) else clusters, settings)
            if clusters == AUTO:
                head.let_choose()
            if snapshot:
                snapshot.head = head
            if settings.get("subtract_mean"):
                head.mean.copy_(mean_feature(store))
            history = head.learn(store, seed=seed, budget=budget, snapshot=snapshot, **inputs)
        head = head.cpu().eval()
        if store.views <= FEW_VIEWS:
            doubt_clusters(head, store)
        return head, history

    @abstractmethod
    def learn(self, store: Store, *, seed: int, budget: int, snapshot: Snapshot | None) -> pd.DataFrame:
        """What :meth:`fit` does with a head that is initialised and knows the mean feature; returns the history."""

    @abstractmethod
    def embed(self, features: torch.Tensor) -> torch.Tensor:
        """Embeddings (..., dimensions) of features (..., channels); no dropout."""

    @abstractmethod
    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (outputs, dimensions) and bias (outputs,): an embedding z, normalised where ``cosine``, has logits
        ``join(weights @ z + bias)``; there are K outputs unless :meth:`join` says how they make K clusters."""

    def raw_centres(self) -> torch.Tensor:
        """Cluster centres (K, dimensions) in direction and length, for PriMaPs-EM to train on.

        Classifiers have directions alone, so these get the length that random normal centres begin with.
        """
        directions = F.normalize(self.classifier()[0], dim=-1)
        return directions * directions.shape[1] ** 0.5

    def __repr__(self) -> str:
        """Name, clusters, channels and settings, in place of torch's tree of modules."""
        facts = {"clusters": self.clusters, "channels": self.channels} | self.settings
        return f"{type(self).__name__}({', '.join(f'{key}={show_value(value)}' for key, value in facts.items())})"

    def logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Cluster logits (..., K) of embeddings (..., dimensions); where ``cosine``, usually cosines."""
        weights, bias = self.classifier()
        return self.join((F.normalize(embeddings, dim=-1) if self.cosine else embeddings) @ weights.T + bias)

    def join(self, logits: torch.Tensor, dim: int = -1) -> torch.Tensor:
        """Logits of the K clusters from those of the classifier's outputs, along a dimension: the same if not said."""
        return logits

    def let_choose(self) -> None:
        """Let :meth:`learn` choose the number of clusters.

        Raises:
            SmoosegError: If it cannot.
        """
        raise SmoosegError("the head holds one number of clusters, which must be given")

    @property
    def advice(self) -> str:
        """One line on the number of clusters to begin with; empty where the head knows none."""
        return ""

    @property
    def cuts(self) -> range:
        """Numbers of clusters that :meth:`cut` takes: its own alone if not said."""
        return range(self.clusters, self.clusters + 1)

    def cut(self, clusters: int) -> "Head":
        """A copy of this head with another number of clusters.

        Raises:
            SmoosegError: If it does not hold that number.
        """
        if clusters not in self.cuts:
            held = self.clusters if len(self.cuts) == 1 else f"{self.cuts[0]} to {self.cuts[-1]}"
            advice = "" if len(self.cuts) > 1 else "; fit a smooseg_plus head, which holds every number of them"
            raise SmoosegError(f"the head holds {held} clusters, not {clusters}{advice}")
        head = deepcopy(self)
        head.clusters = clusters
        return head


def show_value(value: Any) -> str:
    """A setting's value, where it is no large one."""
    return repr(value) if not isinstance(value, dict) else "…"


@torch.inference_mode()
def doubt_clusters(head: Head, store: Store) -> None:
    """Warn if many clusters are each of one view: with few views a head can tell crops apart instead of contents.

    Args:
        head: A fitted head.
        store: The features it was fitted on.
    """
    counts = torch.zeros(store.views, head.clusters)
    for start, stop in store.blocks(store.chunk):
        clusters = head.logits(head.embed(torch.from_numpy(store.read(start, stop)))).argmax(-1)
        counts[start:stop].scatter_add_(1, clusters, torch.ones(clusters.shape))
    patches = counts.sum(0)
    used = int((patches > 0).sum())
    narrow = int((counts.max(0).values[patches > 0] >= NARROW * patches[patches > 0]).sum())
    if narrow > TOLERATED * used:
        LOG.warning(
            "%d of %d clusters are used, and %d of them have four fifths of their patches in one of the %d views: such "
            "clusters tell crops apart, not contents; try other numbers of clusters, or give more images",
            *(used, head.clusters, narrow, store.views),
        )


def save_head(head: Head, name: str, experiment: dict, path: Path, made_from: str = "") -> None:
    """Write a head as safetensors with its full configuration inside; whole or not at all.

    Args:
        head: A fitted head.
        name: Its key in ``HEADS``.
        experiment: The resolved experiment it was trained for.
        path: File to write.
        made_from: Hash of all that decides the head, by which one that is finished is known.
    """
    facts = {
        "head": name,
        "channels": head.channels,
        "clusters": head.clusters,
        "settings": head.settings,
        "experiment": experiment,
        "made_from": made_from,
    }
    with write_whole(path) as aside:
        aside.write_bytes(save(head.state_dict(), metadata={"smooseg": json.dumps(facts)}))


def read_made_from(path: Path) -> str:
    """The hash that :func:`save_head` was given, empty in files of earlier versions; errors as of :func:`read_head`."""
    return read_head(path)[0].get("made_from", "")


def read_head(path: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """Facts and tensors of a saved head.

    Raises:
        SmoosegError: If the file is not a head, or holds a value that is not finite.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {})["smooseg"])
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except Exception as error:  # safetensors raises its own kinds
        raise SmoosegError(f"{path}: not a head written by smooseg ({type(error).__name__}: {error})") from error
    broken = [key for key, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise SmoosegError(f"{path}: {', '.join(broken)} holds NaN or infinite values; train the head again")
    return update_names(facts), state


def update_names(facts: dict) -> dict:
    """Facts of a saved head, and of the one that it is put on, with names of now."""
    settings = facts.get("settings", {})
    if "base_head" in settings:
        settings = settings | {"base_head": update_names(settings["base_head"])}
    return facts | {"head": head_name(facts["head"], "the saved head"), "settings": settings}
