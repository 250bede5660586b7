"""Golden values of the released heads: numbers that the authors' code computes from small fixed inputs."""

from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parents[2] / "reference" / "heads"
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
