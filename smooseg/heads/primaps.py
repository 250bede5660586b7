"""PriMaPs-EM: class prototypes fitted to masks of principal directions by expectation maximisation.

Masks are found once (:mod:`smooseg.evaluation.proposals`). Prototypes start as principal directions of the features,
moved by cosine k-means, or as another head's cluster centres, on whose embeddings they are put. A step then gives each
mask one label, by the moving average of the prototypes, and trains the prototypes on it.

Source:
    Hahn et al. 2024, "Boosting Unsupervised Semantic Segmentation with Principal Mask Proposals" (TMLR).
"""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from ..errors import SmoosegError
from ..features.joined import Joined
from ..features.reader import shuffled_batches
from ..features.store import Store
from ..images.datasets.base import VOID
from ..running.device import default_device
from ..running.progress import progress
from .base import Head
from .parts.average import move_average
from .registry import build_head, head_facts
from .snapshot import Snapshot
from .training import Energy, minimise

EVERY = 10  # steps between moves of the average, as released; the first is after one more


def mask_labels(clusters: torch.Tensor, masks: torch.Tensor, number: int) -> torch.Tensor:
    """The E-step: every pixel of a mask gets the cluster that most of its pixels have, the first where several do.

    Args:
        clusters: int64 (views, n, n), cluster of each pixel.
        masks: uint8 (views, n, n), its mask; 255 where it is in none.
        number: Of clusters K.

    Returns:
        int64 (views, n, n); 255 where a pixel is in no mask.

    Source:
        Hahn et al. 2024, Section 3.2.
    """
    view = torch.arange(len(masks), device=masks.device)[:, None, None]
    owner = masks.long() + (VOID + 1) * view
    votes = (owner * number + clusters).flatten().bincount(minlength=(VOID + 1) * len(masks) * number)
    labels = votes.view(-1, number).argmax(1)[owner]
    return torch.where(masks == VOID, VOID, labels)


def focal_loss(logits: torch.Tensor, labels: torch.Tensor, exponent: float) -> torch.Tensor:
    """The M-step's loss: cross-entropy, less of it for clusters that are predicted with confidence anywhere.

    Args:
        logits: float32 (views, K, n, n).
        labels: int64 (views, n, n); pixels of 255 add 0 to the mean, which is over all pixels.
        exponent: gamma, of the weights (1 - c_k) ^ gamma; c_k is the mean probability of cluster k, without gradient.

    Source:
        Hahn et al. 2024, Section 3.2; the mean over all pixels, ignored ones too, is the released code's.
    """
    log_probabilities = F.log_softmax(logits, dim=1)
    confidence = log_probabilities.detach().exp().mean((0, 2, 3))
    weights = (1 - confidence).pow(exponent)
    return F.nll_loss(log_probabilities, labels, weights, ignore_index=VOID, reduction="sum") / labels.numel()


def upsample(embeddings: torch.Tensor, magnitudes: torch.Tensor, directions: torch.Tensor, size: int) -> torch.Tensor:
    """Logits of every pixel: those of patches upsampled, which is the same as upsampling embeddings, and K maps, not d.

    Args:
        embeddings: (views, patches, d), of square views.
        magnitudes: (K,), the lengths of the prototypes.
        directions: (K, d), of any length.
        size: n, pixels along a side.

    Returns:
        float32 (views, K, n, n).
    """
    side = round(embeddings.shape[1] ** 0.5)
    logits = embeddings @ (magnitudes[:, None] * F.normalize(directions, dim=1)).T
    return F.interpolate(logits.mT.unflatten(2, (side, side)), size, mode="bilinear", align_corners=False)


def count_used(clusters: torch.Tensor) -> torch.Tensor:
    """How many clusters occur."""
    return (clusters.flatten().bincount() > 0).sum()


@torch.inference_mode()
def principal_directions(head: Head, store: Store, number: int, views: int, budget: int, seed: int) -> torch.Tensor:
    """First principal directions of embeddings, in order; each one's largest entry is positive, as it has no sign.

    Args:
        head: What embeds.
        store: Training features.
        number: How many, at most as many as an embedding has dimensions.
        views: Views that are looked at, drawn at random.
        budget, seed: See :func:`smooseg.features.reader.shuffled_batches`.

    Returns:
        float32 (number, dimensions), unit vectors.

    Raises:
        SmoosegError: If the embeddings have fewer dimensions.
    """
    batches, count = shuffled_batches(store, store.chunk, budget, seed), 0
    total, products = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for _ in progress(range(-(-min(views, store.views) // store.chunk)), unit="block", desc="directions"):
        rows = head.embed(next(batches)).flatten(0, 1)
        count, total, products = count + len(rows), total + rows.sum(0), products + rows.T @ rows
    if number > len(total):
        raise SmoosegError(f"{number} clusters need embeddings of as many dimensions; these have {len(total)}")
    mean = total / count
    directions = torch.linalg.eigh(products / count - torch.outer(mean, mean)).eigenvectors.T.flip(0)[:number]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    return (directions * largest.sign()).float()


def kept_pixels(side: int, patch: int, points: int | None) -> np.ndarray:
    """Rows (or columns) of a view at the middle of ``points`` equal parts of every patch; None keeps all."""
    points = min(points or patch, patch)
    return ((np.arange(side * points) + 0.5) * patch / points).astype(np.int64)


def decay(move: int, momentum: float) -> float:
    """Share of the average that its n-th move keeps: none in the first two, then 1 - 1/n, as released."""
    return 0 if move <= 2 else min(momentum, 1 - 1 / move)


class PrimapsHead(Head):
    """Prototypes with a magnitude each, and a moving average of both; embeddings are features, not normalised."""

    cosine = False
    sharpness = 1.0  # as released: magnitudes are learned, and say how sharp
    average: torch.Tensor
    magnitudes: torch.Tensor
    taken: torch.Tensor

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__(channels, clusters, settings)
        self.base: Head | None = None
        self.start = nn.Parameter(torch.zeros(clusters, channels))  # of k-means; there only while it runs
        self.running = nn.Parameter(torch.zeros(clusters, channels))
        self.magnitude = nn.Parameter(torch.ones(clusters))
        self.register_buffer("average", torch.zeros(clusters, channels))
        self.register_buffer("magnitudes", torch.ones(clusters))
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))  # steps, of k-means and EM
        if "base_head" in settings:  # a saved head holds the one that it was put on
            self.put_on(build_head(settings["base_head"]))

    def put_on(self, base: Head) -> None:
        """Take another head's embeddings for features and its raw centres for prototypes; it is trained no more."""
        self.base = base.requires_grad_(False).eval()
        prototypes = base.raw_centres()
        if len(prototypes) != self.clusters:
            raise SmoosegError(f"a primaps head of {self.clusters} clusters cannot be put on one of {len(prototypes)}")
        self.start, self.running = (nn.Parameter(prototypes.clone()) for _ in range(2))
        self.average = prototypes.clone()

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        return features.float() - self.mean if self.base is None else self.base.embed(features)

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        magnitudes, prototypes = self.magnitudes, self.average
        if self.settings.get("prototypes") == "running":  # of a saved head; there is no such setting any more
            magnitudes, prototypes = self.magnitude, self.running
        return magnitudes[:, None] * F.normalize(prototypes, dim=1), torch.zeros(self.clusters)

    @property
    def beginning(self) -> int:
        """Steps of k-means before those of EM."""
        return 0 if self.base else self.settings["start_steps"]

    def energy(self, features: torch.Tensor, masks: torch.Tensor) -> Energy:
        """Loss of a batch, of k-means at first and then of EM, and its parts for the history.

        Args:
            features: (views, patches, channels), of square views.
            masks: uint8 (views, n, n).
        """
        with torch.no_grad():
            embeddings = self.embed(features)
        if self.taken < self.beginning:
            cosines = F.normalize(embeddings, dim=-1) @ F.normalize(self.start, dim=1).T
            best = cosines.max(-1)
            return -best.values.mean(), {"clusters": count_used(best.indices)}
        with torch.no_grad():
            steady = upsample(embeddings, self.magnitudes, self.average, masks.shape[1]).argmax(1)
            labels = mask_labels(steady, masks, self.clusters)
        logits = upsample(embeddings, self.magnitude, self.running, masks.shape[1])
        return focal_loss(logits, labels, self.settings["exponent"]), {"clusters": count_used(steady)}

    @torch.no_grad()
    def after_step(self) -> None:
        """Let EM begin where k-means ends, and after steps 11, 21 and so on of EM move the average."""
        self.taken += 1
        step = int(self.taken) - self.beginning
        if step == 0:
            self.running.copy_(self.start)
            self.average.copy_(self.start)
        elif step > 1 and (step - 1) % EVERY == 0:
            averages, values = (self.average, self.magnitudes), (self.running, self.magnitude)
            move_average(averages, values, decay((step - 1) // EVERY, self.settings["momentum"]))

    def optimizer(self) -> torch.optim.Optimizer:
        """A new one of all that is trained."""
        groups = [
            {"name": "start", "params": [self.start], "lr": self.settings["lr"]},
            {"name": "prototypes", "params": [self.running, self.magnitude], "lr": self.settings["lr"]},
        ]
        return torch.optim.Adam(groups, fused=True)

    def learn(  # type: ignore[override]  # what it is given beside the features
        self,
        store: Store,
        *,
        seed: int,
        budget: int,
        snapshot: Snapshot | None,
        proposals: Store,
        base: Head | None = None,
    ) -> pd.DataFrame:
        """As :meth:`Head.learn`.

        Args:
            proposals: Of the same views: uint8 (views, size, size), 255 where a pixel is in none.
            base: A fitted head to be put on, None for features.
        """
        s, device = self.settings, default_device()
        if base is not None:
            self.settings = s | {"base_head": head_facts(base)}
            self.put_on(base)
        else:
            found = principal_directions(self, store, self.clusters, s["start_views"], budget, seed)
            for prototypes in (self.start, self.running, self.average):
                prototypes.data.copy_(found)
        self.to(device)
        side = round(store.shape[1] ** 0.5)
        joined = Joined(store, proposals, kept_pixels(side, proposals.shape[1] // side, s["points"]))
        return minimise(
            self,
            lambda skip: map(joined.parts, shuffled_batches(joined, s["batch"], budget, seed, device, skip)),
            lambda batch: self.energy(*batch),
            self.optimizer(),
            self.beginning + s["steps"],
            [],
            snapshot,
            self.after_step,
        )
