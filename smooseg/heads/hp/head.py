"""HP (Seong et al. 2023) on cached features: patches that are closer than anything in a pool belong together.

A projector is trained by contrast. Which patches are positives is decided by the features, and more and more by
what a moving average of the projector makes of them; a second contrast is of patches that took in their neighbours.
"""

from copy import deepcopy

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from ...features.reader import shuffled_batches
from ...features.store import Store
from ...running.device import default_device, make_generator
from ..parts.average import move_average
from ..parts.contrast import BASE_TEMPERATURE, contrastive_loss
from ..parts.positions import grid_side
from ..parts.projected import ProbedHead
from ..parts.projector import channel_dropout
from ..parts.sampling import distinct_positions, random_patches, sample_patches
from ..snapshot import Snapshot
from ..training import Energy, clip_gradients, minimise
from .positives import hidden_positives, neighbour_weights, reach

CLIP = 10.0  # norm of the projector's gradients at most
DECAY = 0.1  # of the projector's weights


class HPHead(ProbedHead):
    """Projector trained on hidden positives, and a cluster probe."""

    mirror = False  # as released

    def learn(self, store: Store, *, seed: int, budget: int, snapshot: Snapshot | None) -> pd.DataFrame:
        s, device = self.settings, default_device()
        grid_side(store.shape[1])  # before the work
        generator = make_generator(device, seed)
        pool = sample_patches(store, s["pool"], budget, seed)[: s["pool"]].float() - self.mean
        contrast = HiddenPositives(self.to(device), pool.to(device), generator).to(device)
        groups = [
            {"name": "projector", "params": self.projector.parameters(), "lr": s["lr"], "weight_decay": DECAY},
            {"name": "projection", "params": contrast.projection.parameters(), "lr": s["lr"]},
            {"name": "probe", "params": self.probe.parameters(), "lr": s["lr_probe"]},
        ]
        optimizer = torch.optim.AdamW(groups, weight_decay=0, fused=True)
        clip_gradients(optimizer, list(self.projector.parameters()), CLIP)

        return minimise(
            contrast,
            lambda skip: enumerate(shuffled_batches(store, s["batch"], budget, seed, device, skip), skip),
            lambda batch: contrast.energy(*batch, generator),
            optimizer,
            s["steps"],
            [generator],
            snapshot,
        )


class HiddenPositives(nn.Module):
    """What training takes beside the head: moving average, projection and the two pools of reference patches.

    Args:
        head: Is trained.
        pool: (size, channels), patches of training views, without the mean.
        generator: Of dropout.
    """

    agnostic: torch.Tensor
    recent: torch.Tensor
    specific: torch.Tensor

    def __init__(self, head: HPHead, pool: torch.Tensor, generator: torch.Generator):
        super().__init__()
        self.head, self.settings = head, head.settings
        self.teacher = deepcopy(head.projector).requires_grad_(False)
        self.projection = nn.Linear(self.settings["dimensions"], self.settings["dimensions"])
        self.register_buffer("agnostic", F.normalize(self.drop_channels(pool[:, None], generator)[:, 0], dim=-1))
        self.register_buffer("recent", pool)  # one patch of each view seen last; the second pool is made of them
        self.register_buffer("specific", self.teacher_embeddings(pool[:, None], generator)[:, 0])

    def drop_channels(self, features: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Features (views, patches, channels) without some channels of each view."""
        return channel_dropout(features, self.settings["dropout"], generator)

    @torch.no_grad()
    def teacher_embeddings(self, features: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Normalised embeddings of the moving average, under dropout: (views, patches, dimensions)."""
        embeddings = self.teacher(self.drop_channels(features, generator), self.drop_channels(features, generator))
        return F.normalize(self.drop_channels(embeddings, generator), dim=-1)

    def renew_pool(self, step: int, features: torch.Tensor, generator: torch.Generator) -> None:
        """Remember a patch of each view, and at times make the second pool anew."""
        self.recent = torch.cat([self.recent, random_patches(features, 1, generator)[:, 0]])[-len(self.recent) :]
        if step and step % self.settings["renew"] == 0:
            self.specific = self.teacher_embeddings(self.recent[:, None], generator)[:, 0]

    def specific_weight(self, step: int) -> float:
        """Weight of what the moving average takes for positives: 0 at first, then growing to 1 at the last step."""
        warmup, steps = self.settings["warmup"], self.settings["steps"]
        return max(0, step - warmup) / max(1, steps - warmup)

    def energy(self, step: int, views: torch.Tensor, generator: torch.Generator) -> Energy:
        """Loss of a batch, and its parts for the history. The teacher follows, before the optimiser's step as released.

        Args:
            step: From 0.
            views: (batch, patches, channels).
            generator: Of dropout, pools, anchors and candidates.
        """
        features = views.float() - self.head.mean
        self.renew_pool(step, features, generator)
        first, second = self.drop_channels(features, generator), self.drop_channels(features, generator)
        embeddings = self.head.projector(first, second)
        near = torch.stack([neighbour_weights(view) for view in F.normalize(features, dim=-1)])
        mixed = self.drop_channels(near @ embeddings, generator)
        targets = self.targets(step, features, generator)
        self.update_teacher()
        parts = {
            "global": self.contrast(embeddings, targets),
            "local": self.contrast(mixed, targets),
            "probe": self.head.probe.loss(embeddings),
        }
        loss = (parts["global"] + parts["local"]) / 2 + parts["probe"]
        return loss, parts | {"clusters": self.head.probe.clusters_in_use}

    @torch.no_grad()
    def targets(self, step: int, features: torch.Tensor, generator: torch.Generator) -> list[tuple[torch.Tensor, ...]]:
        """Anchors of each image that have positives, and their weights and candidates.

        Args:
            step, generator: As for :meth:`energy`.
            features: (batch, patches, channels), without the mean.

        Returns:
            For each image int64 (anchors,), which of the batch's patches they are; weights (anchors, patches) of the
            positives; bool (anchors, patches), the candidates.
        """
        batch, patches, _ = features.shape
        seen = F.normalize(self.drop_channels(features, generator), dim=-1).flatten(0, 1)
        taught = self.teacher_embeddings(features, generator).flatten(0, 1)
        reaches = [(seen, reach(seen, self.agnostic)), (taught, reach(taught, self.specific))]
        number = min(self.settings["anchors"] or patches, patches)
        order = distinct_positions(batch, patches, number, generator)
        drawn = torch.rand(number, batch * patches, generator=generator, device=generator.device)
        drawn = drawn < self.settings["share"]
        found: list[tuple[torch.Tensor, ...]] = []
        for image in range(batch):
            anchors = image * patches + order[image]
            agnostic, specific = (hidden_positives(*of, anchors) for of in reaches)
            candidates = (agnostic | drawn).scatter_(1, anchors[:, None], False)
            kept, weights = agnostic.any(1), agnostic + self.specific_weight(step) * specific
            found.append((anchors[kept], weights[kept], candidates[kept]))
        return found

    def contrast(self, embeddings: torch.Tensor, targets: list[tuple[torch.Tensor, ...]]) -> torch.Tensor:
        """Contrastive loss of embeddings (batch, patches, dimensions), mean over images.

        Similarities are computed again for the gradient: those of all images together would not fit a GPU.
        """
        z = F.normalize(self.projection(embeddings), dim=-1).flatten(0, 1)
        temperature = self.settings["temperature"]

        def of_image(anchors: torch.Tensor, weights: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
            return contrastive_loss(z[anchors], z, weights, candidates, temperature)

        losses = [checkpoint(of_image, *of, use_reentrant=False, preserve_rng_state=False) for of in targets]
        return temperature / BASE_TEMPERATURE * torch.stack(losses).mean()

    def update_teacher(self) -> None:
        """Move the moving average towards the projector."""
        move_average(self.teacher.parameters(), self.head.projector.parameters(), self.settings["momentum"])
