"""PPAP: the last block of the backbone trained on by the patches that moving proxies take for alike.

Source:
    Seong et al. 2024, "Progressive Proxy Anchor Propagation for Unsupervised Semantic Segmentation" (ECCV).
"""

from copy import deepcopy
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from ...errors import SmoosegError
from ...features.provenance import file_sha256
from ...features.reader import shuffled_batches
from ...features.store import Store
from ...running.device import default_device, make_generator
from ..base import Head
from ..parts.probe import ClusterProbe
from ..parts.projector import Projector, channel_dropout
from ..parts.sampling import distinct_positions
from ..snapshot import Snapshot
from ..training import Energy, clip_gradients, minimise
from .next_block import NextBlock
from .proxies import proxy_loss

MEAN_VIEWS = 256  # whose patches give the mean of a block's output


class PpapHead(Head):
    """A trained decoder, a projection for the loss alone, and cluster centres that follow the decoder's output.

    The decoder is a copy of the backbone's block after the cached one, or the projector of other heads.
    """

    mirror = False  # as released
    shift: torch.Tensor

    def __init__(self, channels: int, clusters: int, settings: dict):
        super().__init__(channels, clusters, settings)
        self.decoder: NextBlock | Projector
        dimensions = channels if settings["decoder"] == "block" else settings["dimensions"]
        if settings["decoder"] == "projector":
            self.decoder = Projector(channels, dimensions, nn.ReLU)
        elif "model" in settings:  # of a fitted head; before, the store has to say which
            self.decoder = NextBlock(settings["model"], settings["cached"], None)
        self.projection = nn.Linear(dimensions, dimensions)
        self.probe = ClusterProbe(clusters, dimensions)
        self.register_buffer("shift", torch.zeros(dimensions))  # subtracted from a block's output

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        if isinstance(self.decoder, NextBlock):
            return self.decoder(features.float()) - self.shift
        centred = features.float() - self.mean
        return self.decoder(centred, centred)

    def classifier(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.probe.classifier()

    def raw_centres(self) -> torch.Tensor:
        return self.probe.centres

    def energy(self, features: torch.Tensor, frozen: NextBlock | None, generator: torch.Generator) -> Energy:
        """Loss of a batch, and its parts for the history.

        Args:
            features: (views, tokens, channels).
            frozen: The block as it was, whose output positives are found by; None takes the features.
            generator: Of dropout and anchors.
        """
        s = self.settings
        if frozen is not None:
            with torch.no_grad():
                found_by = channel_dropout(frozen(features.float()) - self.shift, s["dropout"], generator)
            embeddings = self.embed(features)
        else:
            centred = features.float() - self.mean
            dropped = [channel_dropout(centred, s["dropout"], generator) for _ in range(3)]
            found_by, embeddings = dropped[2], self.decoder(dropped[0], dropped[1])
        views, patches = embeddings.shape[:2]
        index = distinct_positions(views, patches, max(1, patches // s["patches_per_anchor"]), generator)
        loss, share = proxy_loss(found_by, self.projection(embeddings), index, s)
        cluster = self.probe.loss(embeddings)
        parts = {"contrast": loss, "cluster": cluster, "positives": share, "clusters": self.probe.clusters_in_use}
        return loss + cluster, parts

    def learn(  # type: ignore[override]  # what it is given beside the features
        self, store: Store, *, seed: int, budget: int, snapshot: Snapshot | None, weights: Path
    ) -> pd.DataFrame:
        """As :meth:`Head.learn`.

        Args:
            weights: Safetensors file of the backbone, for the decoder that is a block.
        """
        s, device = self.settings, default_device()
        generator = make_generator(device, seed)
        frozen = self.take_block(store, weights) if s["decoder"] == "block" else None
        self.to(device)
        network = [*self.decoder.parameters(), *self.projection.parameters()]
        trained = [parameter for parameter in network if parameter.requires_grad]
        groups = [
            {"name": "decoder", "params": trained, "lr": s["lr"], "weight_decay": s["weight_decay"]},
            {"name": "probe", "params": self.probe.parameters(), "lr": s["lr_probe"], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, fused=True)
        clip_gradients(optimizer, trained, s["clip"])
        return minimise(
            self,
            lambda skip: shuffled_batches(store, s["batch"], budget, seed, device, skip),
            lambda batch: self.energy(batch, frozen, generator),
            optimizer,
            s["steps"],
            [generator],
            snapshot,
        )

    def take_block(self, store: Store, weights: Path) -> NextBlock:
        """Begin as the backbone's block after the cached one, and return that as it stays.

        Raises:
            SmoosegError: If the cache holds several blocks, or another backbone's than the weights.
        """
        model, cached = store.provenance["model"], store.provenance["block"]
        if not isinstance(cached, int):
            raise SmoosegError(f"{store.path}: holds blocks {cached}, where the decoder goes on from one")
        if file_sha256(weights) != store.provenance["weights_sha256"]:
            raise SmoosegError(f"{store.path}: was made with other weights than {weights}; run the workflow again")
        self.settings = self.settings | {"model": model, "cached": cached}
        self.decoder = NextBlock(model, cached, weights)
        frozen = deepcopy(self.decoder).requires_grad_(False).to(default_device())
        if self.settings["subtract_mean"]:
            self.shift.copy_(mean_output(frozen, store))
        return frozen


@torch.inference_mode()
def mean_output(block: NextBlock, store: Store) -> torch.Tensor:
    """Mean of a block's patches over views from all of a store, of the tokens that enter it: float32 (channels,)."""
    chunks = store.blocks(store.chunk)
    patches = [
        block(torch.from_numpy(store.read(start, stop)).to(default_device(), torch.float32)).flatten(0, 1)
        for start, stop in chunks[:: -(-store.views // MEAN_VIEWS)]
    ]
    return torch.cat(patches).mean(0).cpu()
