"""Mean field through pydensecrf: the reference of the engine of ours, where it can be built."""

import numpy as np
from pydensecrf.densecrf import DenseCRF2D

from .field import Field


def infer(field: Field, candidates: int) -> np.ndarray:
    """The likeliest of the first labels for every pixel: uint8 (pixels,)."""
    return infer_marginals(field)[:candidates].argmax(0).astype(np.uint8)


def infer_marginals(field: Field) -> np.ndarray:
    """Marginals of every label, float32 (labels, pixels)."""
    (reach, weight), (wide, colours, strength) = field.gaussian, field.bilateral
    height, width = field.image.shape[:2]
    model = DenseCRF2D(width, height, len(field.log_probabilities))
    model.setUnaryEnergy(-field.log_probabilities)
    model.addPairwiseGaussian(sxy=reach, compat=-weight * field.attraction)
    model.addPairwiseBilateral(sxy=wide, srgb=colours, rgbim=field.image, compat=-strength * field.attraction)
    return np.array(model.inference(field.iterations), copy=False)
