"""Some patches of each view."""

import torch


def patches_at(views: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Rows (views, n, channels) at positions int64 (views, n) of (views, patches, channels)."""
    index = positions.to(views.device).unsqueeze(-1)
    return views.gather(1, index.expand(-1, -1, views.shape[2]))


def random_patches(views: torch.Tensor, number: int, generator: torch.Generator) -> torch.Tensor:
    """Some patches of each view, drawn at random with replacement: (views, number, channels), float32."""
    return patches_at(views, torch.randint(views.shape[1], (len(views), number), generator=generator)).float()


def distinct_positions(views: int, patches: int, number: int, generator: torch.Generator) -> torch.Tensor:
    """Positions of patches of each view, drawn at random without replacement: int64 (views, number) on the CPU."""
    return torch.rand(views, patches, generator=generator).argsort(1)[:, :number]
