"""Some patches of each view."""

import torch


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
