"""What both engines are given, and the error that both can raise."""

from typing import NamedTuple

import numpy as np


class NarrowKernels(ValueError):
    """Kernels so narrow that the lattice has too many cells to number."""


class Field(NamedTuple):
    """One image's random field.

    Args:
        log_probabilities: float32 (labels, pixels), what each pixel says by itself.
        attraction: float32 (labels,), by which what a label gains from its neighbours is multiplied (Potts: 1).
        image: uint8 (height, width, 3), in the order in which channels become axes of the lattice.
        iterations: Of mean field.
        gaussian: Reach (pixels) and weight of the smoothness kernel.
        bilateral: Reach (pixels), colour reach (8-bit levels) and weight of the appearance kernel.
    """

    log_probabilities: np.ndarray
    attraction: np.ndarray
    image: np.ndarray
    iterations: int
    gaussian: tuple[float, float]
    bilateral: tuple[float, float, float]
