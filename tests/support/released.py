"""Golden values of the released heads: numbers that the authors' code computes from small fixed inputs."""

from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).parents[1] / "reference" / "heads"
TOLERANCE = 1e-5  # of an array's largest absolute value


def golden(name: str) -> dict[str, torch.Tensor]:
    """The arrays of ``NAME.npz``: float32, int64, and bool where they are masks."""
    with np.load(FOLDER / f"{name}.npz") as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file}
    return {key: value.bool() if value.dtype == torch.uint8 else value for key, value in arrays.items()}


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference, as a share of the largest absolute value of theirs."""
    assert ours.shape == theirs.shape
    return ((ours.detach() - theirs).abs().max() / theirs.abs().max()).item()


def assert_agrees(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Floating-point arrays agree within the tolerance, masks and indices are equal."""
    if theirs.is_floating_point():
        assert difference(ours, theirs) <= TOLERANCE
    else:
        assert torch.equal(ours, theirs)


PARTS = ("within", "neighbour", "random")


def positions(coordinates: torch.Tensor) -> torch.Tensor:
    """Positions (views, n, 2) in the order of the released samples, which swaps the two axes of positions."""
    return coordinates.transpose(1, 2).flatten(1, 2)


def give_positions(monkeypatch: pytest.MonkeyPatch, *coordinates: torch.Tensor) -> None:
    """Let a head draw these positions, one after the other."""
    drawn = map(positions, coordinates)
    monkeypatch.setattr("smooseg.heads.parts.positions.random_positions", lambda *_: next(drawn))


def give_partners(monkeypatch: pytest.MonkeyPatch, module: str, partners: torch.Tensor) -> None:
    """Let a head draw these random images."""
    drawn = iter(partners)
    monkeypatch.setattr(f"{module}.random_partners", lambda *_: next(drawn))
