"""Mean field through pydensecrf: the reference of the engine of ours, where it can be built."""

import numpy as np
from pydensecrf.densecrf import DenseCRF2D


def infer(log_probabilities: np.ndarray, attraction: np.ndarray, image: np.ndarray, settings: dict, candidates: int):
    """The likeliest of the first labels for every pixel, see :func:`smooseg.evaluation.crf.native.infer`."""
    return infer_marginals(log_probabilities, attraction, image, settings)[:candidates].argmax(0)


def infer_marginals(log_probabilities: np.ndarray, attraction: np.ndarray, image: np.ndarray, settings: dict):
    """Marginals of every label, see :func:`smooseg.evaluation.crf.native.infer_marginals`."""
    labels, (height, width) = len(log_probabilities), image.shape[:2]
    field = DenseCRF2D(width, height, labels)
    field.setUnaryEnergy(np.ascontiguousarray(-log_probabilities, np.float32))
    field.addPairwiseGaussian(sxy=settings["gaussian_sxy"], compat=-settings["gaussian_weight"] * attraction)
    field.addPairwiseBilateral(
        sxy=settings["bilateral_sxy"],
        srgb=settings["bilateral_srgb"],
        rgbim=np.ascontiguousarray(image),
        compat=-settings["bilateral_weight"] * attraction,
    )
    return np.array(field.inference(settings["iterations"]), copy=False)
