"""Values between patches: bilinear at continuous positions, for which the shifts of STEGO and its like are made."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ...errors import SmoosegError


def grid_side(patches: int) -> int:
    """Rows, and columns, of a view of so many patches.

    Raises:
        SmoosegError: If these fill no square.
    """
    side = math.isqrt(patches)
    if side * side != patches:
        token = ", one more than a square: leave out the class token" if side * side + 1 == patches else ""
        raise SmoosegError(f"views must be square grids of patches; these have {patches} patches{token}")
    return side


def random_positions(views: int, number: int, generator: torch.Generator) -> torch.Tensor:
    """Positions in each view, drawn evenly: float32 (views, number, 2), of -1 to 1, as :func:`corners` takes them."""
    return 2 * torch.rand(views, number, 2, generator=generator, device=generator.device) - 1


@dataclass(frozen=True)
class Corners:
    """The four patches around each position, and the share that each of them has in the value there.

    Args:
        index: int64 (views, n, 4), of the view's patches.
        weights: float32 (views, n, 4), not negative; the four add up to 1.
        patches: Of a view.
    """

    index: torch.Tensor
    weights: torch.Tensor
    patches: int

    def of(self, values: torch.Tensor, views: torch.Tensor | None = None) -> torch.Tensor:
        """Values at the positions, with gradient. Only the patches around them are read.

        Args:
            values: Float (batch, patches, channels).
            views: int64 (..., views), in which view the positions of each row are looked up; None takes them in turn.

        Returns:
            (..., views, n, channels).
        """
        views = torch.arange(len(self.index), device=values.device) if views is None else views
        rows = self.index + self.patches * views[..., None, None]
        weights = self.weights.to(values.dtype).expand_as(rows).reshape(-1, 4)
        found = F.embedding_bag(rows.view(-1, 4), values.flatten(0, 1), per_sample_weights=weights, mode="sum")
        return found.unflatten(0, rows.shape[:-1])


def corners(positions: torch.Tensor, grid: tuple[int, int]) -> Corners:
    """The patches around some positions.

    Args:
        positions: Float (views, n, 2), of x (column) and y (row): -1 is the centre of the first patch, 1 that of the
            last one. What lies beyond counts as the border.
        grid: Rows and columns of patches of a view.
    """
    last = positions.new_tensor([grid[1] - 1, grid[0] - 1])
    at = ((positions + 1) / 2 * last).minimum(last).clamp_min(0)
    low = at.floor().minimum(last - 1).clamp_min(0)  # the last patch is the second of its pair
    right, down = (at - low).unbind(-1)
    x, y = low.long().unbind(-1)
    step, below = min(1, grid[1] - 1), min(1, grid[0] - 1) * grid[1]  # a single row or column has no second one
    first = y * grid[1] + x
    index = torch.stack([first, first + step, first + below, first + below + step], dim=-1)
    shares = [(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down]
    return Corners(index, torch.stack(shares, dim=-1), grid[0] * grid[1])


def random_corners(views: torch.Tensor, number: int, generator: torch.Generator) -> Corners:
    """The patches around random positions of views (batch, patches, channels) that are square grids."""
    side = grid_side(views.shape[1])
    return corners(random_positions(len(views), number, generator), (side, side))
