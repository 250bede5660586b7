"""Dense CRF refinement of one view's logits (Krähenbühl and Koltun 2011, through pydensecrf)."""

import numpy as np
import torch
import torch.nn.functional as F
from pydensecrf.densecrf import DenseCRF2D

LOGIT_SCALE = 2.0  # published scores sharpen the cosines by this before the softmax


def refine(logits: torch.Tensor, image: np.ndarray, settings: dict) -> np.ndarray:
    """Cluster ids of a view after mean-field inference.

    Clusters that no pixel prefers before refinement share one label, since time grows with labels: see
    :func:`merge_absent`. docs/evaluation.md has what that saves and changes.

    Args:
        logits: float32 (clusters, height, width), cosines.
        image: uint8 (height, width, 3), the view itself.
        settings: iterations; gaussian_sxy (pixels), gaussian_weight; bilateral_sxy (pixels),
            bilateral_srgb (8-bit levels), bilateral_weight.

    Returns:
        uint8 (height, width).
    """
    height, width = logits.shape[1:]
    present, log_probabilities, merged = merge_absent(F.log_softmax(LOGIT_SCALE * logits, dim=0).flatten(1))
    labels = len(log_probabilities)
    field = DenseCRF2D(width, height, labels)
    field.setUnaryEnergy(np.ascontiguousarray(-log_probabilities.numpy(), np.float32))
    weights = {kernel: attraction(settings[f"{kernel}_weight"], labels, merged) for kernel in ("gaussian", "bilateral")}
    field.addPairwiseGaussian(sxy=settings["gaussian_sxy"], compat=weights["gaussian"])
    field.addPairwiseBilateral(
        sxy=settings["bilateral_sxy"],
        srgb=settings["bilateral_srgb"],
        rgbim=np.ascontiguousarray(image),
        compat=weights["bilateral"],
    )
    marginals = np.array(field.inference(settings["iterations"]), copy=False)[: len(present)]
    return present.numpy()[marginals.argmax(0)].reshape(height, width).astype(np.uint8)


def merge_absent(log_probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Merge the clusters that are first nowhere, so that the others keep their probabilities.

    Args:
        log_probabilities: float32 (clusters, pixels).

    Returns:
        int64 (present,), clusters that some pixel prefers; float32 (labels, pixels), their log-probabilities
        and then, where there are others, that of the others together; number of the others.
    """
    present = log_probabilities.argmax(0).unique()
    absent = torch.ones(len(log_probabilities), dtype=torch.bool)
    absent[present] = False
    if not absent.any():
        return present, log_probabilities, 0
    together = log_probabilities[absent].logsumexp(0, keepdim=True)
    return present, torch.cat([log_probabilities[present], together]), int(absent.sum())


def attraction(weight: float, labels: int, merged: int) -> float | np.ndarray:
    """What neighbours of one label gain, as the library takes it: one number, or one energy for each label.

    A label of n merged clusters attracts by 1/n of its probability, as each attracts its own only.
    """
    if not merged:
        return weight
    energies = np.full(labels, -weight, np.float32)
    energies[-1] /= merged
    return energies
