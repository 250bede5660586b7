"""CAUSE (Kim et al. 2023) on cached features, without labels: mediator, front-door contrast, cluster centres.

Three stages, one after the other: a codebook of many vectors is found by modularity (the mediator); a
network learns to tell its vectors apart by contrast with a moving average of itself; the cluster centres are
found by modularity of that average's embeddings. The released code trains the network on labels too in the
last stage; here no label and no gradient of a probe reaches it.
"""

import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.cluster import kmeans_plusplus
from torch import nn

from ...errors import SmoosegError
from ...features.reader import shuffled_batches
from ...features.store import Store
from ...running.device import default_device, dropout_generator, make_generator
from ..base import Head
from ..parts.positions import grid_side
from ..parts.projector import Projector
from ..parts.sampling import patches_at
from ..snapshot import Snapshot
from ..training import Energy, clip_gradients, minimise
from .front_door import FrontDoor, nearest_codes
from .modularity import draw_patches, modularity_loss

HIDDEN = 2048  # of the decoder's feed-forward layer, as released


class Decoder(nn.Module):
    """One transformer decoder layer: what a patch's codebook vector finds in the view's features is added to them.

    Args:
        channels: Of features and codebook.
        side: Of the grid whose query positions are learned.
        dropout: Of attention and layers.

    Source:
        Kim et al. 2023 (CAUSE), section 3.3; as released: one head, post-norm, positions for queries and keys alone.
    """

    def __init__(self, channels: int, side: int, dropout: float):
        super().__init__()
        self.positions = nn.Parameter(torch.randn(side**2, channels))
        self.within, self.across = (nn.MultiheadAttention(channels, 1, dropout, batch_first=True) for _ in range(2))
        self.hidden, self.out = nn.Linear(channels, HIDDEN), nn.Linear(HIDDEN, channels)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def positions_of(self, patches: int) -> torch.Tensor:
        """Query positions (patches, channels), interpolated bilinearly where the grid is another."""
        side, learned = grid_side(patches), grid_side(len(self.positions))
        if side == learned:
            return self.positions
        grid = self.positions.T.reshape(1, -1, learned, learned)
        return F.interpolate(grid, size=(side, side), mode="bilinear").flatten(2)[0].T

    def forward(self, features: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
        """Features (batch, patches, channels), of whole views, with what their codes find in them."""
        codes, positions = codebook[nearest_codes(features, codebook)], self.positions_of(features.shape[1])
        queries = codes + positions
        found = self.within(queries, queries, codes, need_weights=False)[0]
        codes = self.norms[0](codes + self.dropout(found))
        found = self.across(codes + positions, features, features, need_weights=False)[0]
        codes = self.norms[1](codes + self.dropout(found))
        found = self.out(self.dropout(F.relu(self.hidden(codes))))
        return features + self.norms[2](codes + self.dropout(found))


class Network(nn.Module):
    """Embeddings of features: the projector, behind a decoder or not.

    Args:
        channels: Of the features.
        settings: network, dimensions and dropout of the head, and of a fitted one the side of its grid.
    """

    def __init__(self, channels: int, settings: dict):
        super().__init__()
        # a fitted head's settings say for which grid it has positions; 1 until the training views are known
        side, decoder = settings.get("grid") or 1, settings["network"] == "decoder"
        self.decoder = Decoder(channels, side, settings["dropout"]) if decoder else None
        self.projector = Projector(channels, settings["dimensions"], nn.ReLU)
        self.dropout = nn.Dropout(settings["dropout"])

    def forward(self, features: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
        """Embeddings (..., dimensions) of centred features (..., channels); with a decoder, of whole views."""
        if self.decoder is not None:
            features = self.decoder(features, codebook)
        return self.projector(self.dropout(features), self.dropout(features))

    def embed_at(self, features: torch.Tensor, codebook: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Embeddings (batch, n, dimensions) at positions (batch, n) of whole views."""
        if self.decoder is not None:
            return patches_at(self(features, codebook), positions)
        return self(patches_at(features, positions), codebook)


class CauseHead(Head):
    """Codebook, the network that the contrast's teacher is, and cluster centres."""

    sharpness = 3.0

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__(channels, clusters, settings)
        codes, dimensions = settings["codes"], settings["dimensions"]
        self.codebook = nn.Parameter(torch.empty(codes, channels).uniform_(-1 / codes, 1 / codes))
        self.network = Network(channels, settings).requires_grad_(False)
        self.centres = nn.Parameter(torch.empty(clusters, dimensions).uniform_(-1 / clusters, 1 / clusters))

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        return self.network.eval()(features.float() - self.mean, self.codebook)

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        return F.normalize(self.centres, dim=-1), torch.zeros(self.clusters)

    def learn(self, store: Store, *, seed: int, budget: int, snapshot: Snapshot | None) -> pd.DataFrame:
        self.settle_grid(grid_side(store.shape[1]))
        device = default_device()
        generator = make_generator(device, seed)
        s, stages = self.settings, Stages(self, generator).to(device)
        history = minimise(
            stages,
            lambda skip: shuffled_batches(store, s["batch"], budget, seed, device, skip),
            stages.energy,
            stages.optimizer(),
            s["steps"],
            [generator, dropout_generator(device)],
            snapshot,
            stages.after_step,
        )
        return history.assign(clusters=int(history["clusters"].iloc[-1]))

    def settle_grid(self, side: int) -> None:
        """Check that views of this side will do, and give a decoder positions for them.

        Raises:
            SmoosegError: If a block is larger than a view, or a batch has fewer patches than there are clusters.
        """
        block, batch = self.settings["block"], self.settings["batch"]
        if block > side:
            raise SmoosegError(f"cause: block is {block}, but a view has {side} x {side} patches; take at most {side}")
        if batch * side**2 < self.clusters:
            raise SmoosegError(
                f"cause: {self.clusters} clusters cannot start from the {batch * side**2} patches of a batch; take a "
                f"larger batch than {batch}"
            )
        if self.network.decoder is not None:
            self.settings = self.settings | {"grid": side}
            self.network.decoder.positions = nn.Parameter(torch.randn(side**2, self.channels), requires_grad=False)


class Stages(nn.Module):
    """The three stages as one training, so that one loop and one snapshot serve all; ``taken`` steps say which it is.

    Args:
        head: A new head.
        generator: Of patches, and of what the bank keeps.

    Raises:
        SmoosegError: If the shares of the stages leave nothing for one of them.
    """

    taken: torch.Tensor

    def __init__(self, head: CauseHead, generator: torch.Generator):
        super().__init__()
        self.head, self.generator, self.settings = head, generator, head.settings
        self.front_door = FrontDoor(head.network, head.settings)
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))
        steps, shares = head.settings["steps"], (head.settings["mediator_share"], head.settings["clusters_share"])
        self.mediator_end, self.contrast_end = round(steps * shares[0]), steps - round(steps * shares[1])
        if not 0 < self.mediator_end < self.contrast_end < steps:
            raise SmoosegError(
                f"cause: of {steps} steps, mediator_share {shares[0]} and clusters_share {shares[1]} leave none for "
                f"one of the three stages; take more steps, or other shares"
            )

    def optimizer(self) -> torch.optim.Optimizer:
        """A new one: a stage's loss has gradients of its own group alone, and nothing else moves."""
        s, door = self.settings, self.front_door
        network = [*door.student.parameters(), *door.projection.parameters()]
        groups = [
            {"name": "codebook", "params": [self.head.codebook]},
            {"name": "network", "params": network, "weight_decay": s["weight_decay"]},
            {"name": "centres", "params": [self.head.centres]},
        ]
        optimizer = torch.optim.Adam(groups, lr=s["lr"], fused=True)
        clip_gradients(optimizer, network, s["clip"])
        return optimizer

    def energy(self, views: torch.Tensor) -> Energy:
        """Loss of a batch (batch, patches, channels) in the present stage, and its parts for the history."""
        head, features, taken = self.head.train(), views.float() - self.head.mean, int(self.taken)
        if self.mediator_end <= taken < self.contrast_end:
            loss = self.front_door.loss(features, head.network, head.codebook.detach(), self.generator)
            return loss, {"contrast": loss}
        positions = draw_patches(len(features), features.shape[1], self.settings["block"], self.generator)
        if taken < self.mediator_end:
            loss = modularity_loss(patches_at(features, positions), head.codebook)
            return loss, {"mediator": loss}
        with torch.no_grad():
            if taken == self.contrast_end and self.settings["start"] == "embeddings":
                self.start_centres(head.network(features, head.codebook).flatten(0, 1))
            embeddings = head.network.embed_at(features, head.codebook, positions)
        loss = modularity_loss(embeddings, head.centres)
        counts = nearest_codes(embeddings, head.centres).flatten().bincount()
        return loss, {"modularity": loss, "clusters": (counts > 0).sum()}

    def start_centres(self, embeddings: torch.Tensor) -> None:
        """Start the centres from embeddings (n, dimensions) that lie far apart, as k-means++ draws them."""
        unit = F.normalize(embeddings, dim=-1).cpu().numpy()
        seed = int(torch.randint(2**31, (), generator=self.generator, device=self.generator.device))
        centres, _ = kmeans_plusplus(unit, self.head.clusters, random_state=seed)
        self.head.centres.copy_(torch.from_numpy(centres))

    def after_step(self) -> None:
        """Count the step; after one of the contrast, the teacher follows."""
        if self.mediator_end <= self.taken < self.contrast_end:
            self.front_door.update_teacher(self.head.network, first=int(self.taken) == self.mediator_end)
        self.taken += 1
