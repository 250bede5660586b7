"""Dense CRF refinement of one view's logits (Krähenbühl and Koltun 2011, through pydensecrf)."""

import numpy as np
import torch
import torch.nn.functional as F
from pydensecrf.densecrf import DenseCRF2D

LOGIT_SCALE = 2.0  # published scores sharpen the cosines by this before the softmax


def refine(logits: torch.Tensor, image: np.ndarray, settings: dict) -> np.ndarray:
    """Cluster ids of a view after mean-field inference.

    Args:
        logits: float32 (clusters, height, width), cosines.
        image: uint8 (height, width, 3), the view itself.
        settings: iterations; gaussian_sxy (pixels), gaussian_weight; bilateral_sxy (pixels),
            bilateral_srgb (8-bit levels), bilateral_weight.

    Returns:
        uint8 (height, width).
    """
    clusters, height, width = logits.shape
    unary = -F.log_softmax(LOGIT_SCALE * logits, dim=0).flatten(1)
    field = DenseCRF2D(width, height, clusters)
    field.setUnaryEnergy(np.ascontiguousarray(unary.numpy(), np.float32))
    field.addPairwiseGaussian(sxy=settings["gaussian_sxy"], compat=settings["gaussian_weight"])
    field.addPairwiseBilateral(
        sxy=settings["bilateral_sxy"],
        srgb=settings["bilateral_srgb"],
        rgbim=np.ascontiguousarray(image),
        compat=settings["bilateral_weight"],
    )
    marginals = np.array(field.inference(settings["iterations"]), copy=False)
    return marginals.argmax(0).reshape(height, width).astype(np.uint8)
