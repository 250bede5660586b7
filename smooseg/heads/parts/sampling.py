"""Some patches of each view."""

import numpy as np
import torch

from ...features.reader import shuffled_batches
from ...features.store import Store
from ...running.progress import progress


def patches_at(views: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Rows (views, n, channels) at positions int64 (views, n) of (views, patches, channels)."""
    index = positions.unsqueeze(-1)
    return views.gather(1, index.expand(-1, -1, views.shape[2]))


def random_patches(views: torch.Tensor, number: int, generator: torch.Generator) -> torch.Tensor:
    """Some patches of each view, drawn at random with replacement: (views, number, channels), float32."""
    shape, device = (len(views), number), generator.device
    return patches_at(views, torch.randint(views.shape[1], shape, generator=generator, device=device)).float()


def distinct_positions(views: int, patches: int, number: int, generator: torch.Generator) -> torch.Tensor:
    """Positions of patches of each view, drawn at random without replacement: int64 (views, number)."""
    return torch.rand(views, patches, generator=generator, device=generator.device).argsort(1)[:, :number]


def sample_patches(store: Store, samples: int, budget: int, seed: int) -> torch.Tensor:
    """About ``samples`` patch features drawn evenly from all views: (patches, channels)."""
    patches, rng = store.shape[1], np.random.default_rng(seed)
    each = min(patches, -(-samples // store.views))
    batches = shuffled_batches(store, store.chunk, budget, seed)
    parts = []
    for _ in progress(range(-(-min(store.views, samples) // store.chunk)), unit="block", desc="sample"):
        views = next(batches)
        order = torch.from_numpy(rng.permuted(np.tile(np.arange(patches), (len(views), 1)), axis=1)[:, :each])
        parts.append(patches_at(views, order).flatten(0, 1))
    return torch.cat(parts)
