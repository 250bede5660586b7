"""Refinement of one view's logits by the dense CRF: which engine, how sharp logits are, which clusters take part."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import SmoosegError
from .crf import NarrowKernels, dense_crf

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


def as_logits(scores: Any, shape: tuple[int, int]) -> torch.Tensor:
    """Scores of an image as :func:`refine` takes them: float32 (clusters, height, width).

    Args:
        scores: An array or tensor.
        shape: Height and width of the image.

    Raises:
        SmoosegError: If they are of another shape, or not finite.
    """
    found = np.asarray(scores.detach().float().cpu() if hasattr(scores, "detach") else scores)
    if found.dtype.kind not in "fiu" or found.ndim != 3 or not len(found) or found.shape[1:] != shape:
        wanted = f"(clusters, {shape[0]}, {shape[1]})"
        raise SmoosegError(f"scores must be numbers of shape {wanted}, as the image has it; got {found.shape}")
    if not np.isfinite(found).all():
        raise SmoosegError("scores hold NaN or infinite values")
    return torch.from_numpy(found.astype(np.float32))


def refine(logits: torch.Tensor, image: np.ndarray, settings: dict, sharpness: float) -> np.ndarray:
    """Cluster ids of a view after mean-field inference.

    Clusters that no pixel prefers before refinement share one label, since time grows with labels: see
    :func:`merge_absent`. docs/results/crf.md has what that saves and changes.

    Args:
        logits: float32 (clusters, height, width).
        image: uint8 (height, width, 3), the view itself, RGB.
        settings: Of the configuration's ``crf``: engine; iterations; gaussian_sxy (pixels), gaussian_weight;
            bilateral_sxy (pixels), bilateral_srgb (8-bit levels), bilateral_weight.
        sharpness: By which logits are multiplied before the softmax, see :attr:`smooseg.heads.base.Head.sharpness`.

    Returns:
        uint8 (height, width).

    Raises:
        SmoosegError: If the settings' kernels are too narrow for the image.
    """
    present, labels = infer_present(logits, image, settings, sharpness, marginals=False)
    return present.astype(np.uint8)[labels]


def refine_marginals(logits: torch.Tensor, image: np.ndarray, settings: dict, sharpness: float) -> np.ndarray:
    """What :func:`refine` takes the largest of: marginals of clusters that some pixel prefers, of the others 0.

    Returns:
        float32 (clusters, height, width).
    """
    present, marginals = infer_present(logits, image, settings, sharpness, marginals=True)
    result = np.zeros(logits.shape, np.float32)
    result[present] = marginals
    return result


def infer_present(
    logits: torch.Tensor, image: np.ndarray, settings: dict, sharpness: float, *, marginals: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Clusters that some pixel prefers, int64 (present,), and labels or marginals whose numbers count those."""
    present, log_probabilities, attraction = field_of(logits, sharpness)
    settings = settings | {"engine": find_engine(settings["engine"]), "marginals": marginals}
    try:
        return present, dense_crf(log_probabilities, image, attraction=attraction, candidates=len(present), **settings)
    except NarrowKernels as error:
        raise SmoosegError(f"crf: {error}") from error


def field_of(logits: torch.Tensor, sharpness: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What mean field starts from.

    Returns:
        int64 (present,), clusters that some pixel prefers; float32 (labels, height, width), log-probabilities of theirs
        and, last, of all others together; float32 (labels,), by how much each attracts.
    """
    present, log_probabilities, merged = merge_absent(F.log_softmax(sharpness * logits, dim=0))
    attraction = np.ones(len(log_probabilities), np.float32)
    if merged:  # n clusters as one attract by 1/n of its probability, as each attracts its own only
        attraction[-1] /= merged
    return present.numpy(), log_probabilities.numpy(), attraction


def merge_absent(log_probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Merge the clusters that are first nowhere, so that the others keep their probabilities.

    Args:
        log_probabilities: float32 (clusters, ...), of pixels.

    Returns:
        int64 (present,), clusters that some pixel prefers; float32 (labels, ...), their log-probabilities
        and then, where there are others, that of the others together; number of the others.
    """
    present = log_probabilities.argmax(0).unique()
    absent = torch.ones(len(log_probabilities), dtype=torch.bool)
    absent[present] = False
    if not absent.any():
        return present, log_probabilities, 0
    together = log_probabilities[absent].logsumexp(0, keepdim=True)
    return present, torch.cat([log_probabilities[present], together]), int(absent.sum())
