"""Values between patches: against torch's grid_sample, at patches, at borders, and of views in another order."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from smooseg.errors import SmoosegError
from smooseg.heads.parts.positions import corners, grid_side, random_corners, random_positions

GRIDS = [(4, 4), (3, 7), (7, 3), (1, 5), (5, 1), (1, 1)]


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("grid", GRIDS)
@given(seed=st.integers(0, 1000))
@examples(deadline=None, max_examples=20)
def test_values_are_bilinear_with_the_border_beyond(grid, seed):
    values = drawn(seed, 2, grid[0] * grid[1], 3).requires_grad_()
    positions = drawn(seed + 1, 2, 5, 2)  # some of them outside
    maps = values.transpose(1, 2).unflatten(2, grid)
    kept = {"mode": "bilinear", "align_corners": True, "padding_mode": "border"}
    expected = F.grid_sample(maps, positions[:, None], **kept)[:, :, 0].transpose(1, 2)
    found = corners(positions, grid).of(values)
    torch.testing.assert_close(found, expected)
    upstream = drawn(seed + 2, *found.shape)
    gradients = [torch.autograd.grad((of * upstream).sum(), values)[0] for of in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_a_position_on_a_patch_is_that_patch():
    values, (rows, columns) = drawn(0, 1, 12, 3), (3, 4)
    centres = [(2 * x / (columns - 1) - 1, 2 * y / (rows - 1) - 1) for y in range(rows) for x in range(columns)]
    found = corners(torch.tensor([centres], dtype=torch.float64), (rows, columns))
    torch.testing.assert_close(found.of(values), values)
    assert found.index.min() >= 0 and found.index.max() < 12


def test_positions_are_looked_up_in_other_views_of_the_batch():
    values, views = drawn(0, 3, 16, 2), torch.tensor([2, 2, 0])
    found = random_corners(values, 6, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found.of(values, views), found.of(values[views]))
    both = torch.stack([views, views.flip(0)])
    torch.testing.assert_close(found.of(values, both), torch.stack([found.of(values[of]) for of in both]))


def test_positions_fill_the_view_evenly():
    positions = random_positions(50, 400, torch.Generator().manual_seed(0))
    assert positions.shape == (50, 400, 2) and positions.abs().max() <= 1
    counts = torch.histogramdd(positions.flatten(0, 1), [4, 4], range=[-1.0, 1.0, -1.0, 1.0]).hist
    assert (counts / 1250 - 1).abs().max() < 0.1


def test_what_is_no_square_is_one_sentence():
    assert grid_side(49) == 7
    with pytest.raises(SmoosegError, match="views must be square grids of patches; these have 12 patches"):
        grid_side(12)
