"""Dense CRF refinement of one view's logits (Krähenbühl and Koltun 2011), whichever engine computes it."""

from importlib.util import find_spec
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F

from ...errors import SmoosegError

LOGIT_SCALE = 2.0  # published scores sharpen the cosines by this before the softmax
ENGINES = {"native": "numba", "pydensecrf": "pydensecrf"}  # and what each needs, the faster one first


def find_engine(name: str) -> str:
    """The engine that a configuration's ``crf.engine`` names: "auto" is the faster one that is installed.

    Raises:
        SmoosegError: If it is not installed.
    """
    installed = [engine for engine, package in ENGINES.items() if find_spec(package)]
    if name == "auto" and installed:
        return installed[0]
    if name not in installed:
        raise SmoosegError(
            f"crf.engine: {name} is not installed here, {' and '.join(installed) or 'no engine'} is; "
            "pip install numba for native, pydensecrf2 for pydensecrf (it needs a compiler and Python below 3.13)"
        )
    return name


def refine(logits: torch.Tensor, image: np.ndarray, settings: dict) -> np.ndarray:
    """Cluster ids of a view after mean-field inference.

    Clusters that no pixel prefers before refinement share one label, since time grows with labels: see
    :func:`merge_absent`. docs/evaluation.md has what that saves and changes.

    Args:
        logits: float32 (clusters, height, width), cosines.
        image: uint8 (height, width, 3), the view itself.
        settings: engine; iterations; gaussian_sxy (pixels), gaussian_weight; bilateral_sxy (pixels),
            bilateral_srgb (8-bit levels), bilateral_weight.

    Returns:
        uint8 (height, width).
    """
    present, log_probabilities, attraction = field_of(logits)
    labels = engine(settings).infer(log_probabilities, attraction, image, settings, len(present))
    return present.astype(np.uint8)[labels].reshape(image.shape[:2])


def refined_marginals(logits: torch.Tensor, image: np.ndarray, settings: dict) -> np.ndarray:
    """What :func:`refine` takes the largest of: marginals of clusters that some pixel prefers, of the others 0.

    Returns:
        float32 (clusters, height, width).
    """
    present, log_probabilities, attraction = field_of(logits)
    marginals = engine(settings).infer_marginals(log_probabilities, attraction, image, settings)
    result = np.zeros((len(logits), marginals.shape[1]), np.float32)
    result[present] = marginals[: len(present)]
    return result.reshape(-1, *image.shape[:2])


def engine(settings: dict) -> ModuleType:
    """The module that computes mean field."""
    if find_engine(settings["engine"]) == "native":
        from . import native

        return native
    from . import library

    return library


def field_of(logits: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What mean field starts from.

    Returns:
        int64 (present,), clusters that some pixel prefers; float32 (labels, pixels), log-probabilities of theirs and,
        last, of all others together; float32 (labels,), by how much each attracts.
    """
    present, log_probabilities, merged = merge_absent(F.log_softmax(LOGIT_SCALE * logits, dim=0).flatten(1))
    attraction = np.ones(len(log_probabilities), np.float32)
    if merged:  # n clusters as one attract by 1/n of its probability, as each attracts its own only
        attraction[-1] /= merged
    return present.numpy(), log_probabilities.numpy(), attraction


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
