"""The package's one function: mean-field inference in a dense CRF, whichever engine computes it."""

from types import ModuleType

import numpy as np

from .field import Field

MOST = 256  # labels that uint8 can name


def dense_crf(
    log_probabilities: np.ndarray,
    image: np.ndarray,
    *,
    marginals: bool = False,
    attraction: np.ndarray | None = None,
    candidates: int | None = None,
    iterations: int = 10,
    gaussian_sxy: float = 1,
    gaussian_weight: float = 3,
    bilateral_sxy: float = 67,
    bilateral_srgb: float = 3,
    bilateral_weight: float = 4,
    engine: str = "native",
) -> np.ndarray:
    """Labels of an image after mean field in a fully connected CRF with Potts compatibility.

    Args:
        log_probabilities: Floats (labels, height, width), natural logarithms; a constant may be missing in a pixel.
        image: uint8 (height, width, 3), RGB.
        marginals: Return the labels' probabilities in place of the likeliest label.
        attraction: Floats (labels,), by which what a label gains from its neighbours is multiplied; None is 1 for all.
        candidates: How many labels, counted from the first, a pixel can be given; None is all of them. The others take
            part in the inference alone.
        iterations: Of mean field, at least 1.
        gaussian_sxy, gaussian_weight: Reach (pixels) and weight of the smoothness kernel.
        bilateral_sxy, bilateral_srgb, bilateral_weight: Reach (pixels), colour reach (8-bit levels) and weight of the
            appearance kernel.
        engine: "native", or "pydensecrf" where that library is installed.

    Returns:
        uint8 (height, width), or with ``marginals`` float32 (candidates, height, width).

    Raises:
        ValueError: If shapes, types or numbers do not fit; :class:`NarrowKernels` if kernels are too narrow.
        ImportError: If what the engine needs is not installed.

    Source:
        Krähenbühl and Koltun 2011, Algorithm 1.
    """
    labels, height, width = require_image(log_probabilities, image)
    attraction = np.ones(labels) if attraction is None else attraction
    if attraction.shape != (labels,):
        raise ValueError(f"attraction has shape {attraction.shape}; {labels} labels need ({labels},)")
    candidates = labels if candidates is None else candidates
    if not 1 <= candidates <= (labels if marginals else min(labels, MOST)):
        raise ValueError(f"{candidates} candidates of {labels} labels; labels of pixels are numbered from 0 to 255")
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}, must be at least 1")
    field = Field(
        np.ascontiguousarray(log_probabilities, np.float32).reshape(labels, -1),
        attraction.astype(np.float32),
        blue_first(image),
        iterations,
        (gaussian_sxy, gaussian_weight),
        (bilateral_sxy, bilateral_srgb, bilateral_weight),
    )
    if marginals:
        return load_engine(engine).infer_marginals(field)[:candidates].reshape(candidates, height, width)
    return load_engine(engine).infer(field, candidates).reshape(height, width)


def require_image(log_probabilities: np.ndarray, image: np.ndarray) -> tuple[int, int, int]:
    """Number of labels, height and width.

    Raises:
        ValueError: If the maps are not those of the image, or the image is not RGB of 8 bits.
    """
    if log_probabilities.ndim != 3 or not log_probabilities.size:
        raise ValueError(f"log_probabilities has shape {log_probabilities.shape}, not (labels, height, width)")
    if image.dtype != np.uint8 or image.shape != (*log_probabilities.shape[1:], 3):
        raise ValueError(
            f"image is {image.dtype} {image.shape}; log_probabilities of shape {log_probabilities.shape} need "
            f"uint8 {(*log_probabilities.shape[1:], 3)}"
        )
    labels, height, width = log_probabilities.shape
    return labels, height, width


def blue_first(image: np.ndarray) -> np.ndarray:
    """An RGB image as BGR, which is how published code hands images to the lattice.

    The lattice approximates a Gaussian, and not equally well in all directions: another order of the axes moves some
    pixels to other labels.
    """
    return np.ascontiguousarray(image[:, :, ::-1])


def load_engine(engine: str) -> ModuleType:
    """The module of an engine; imported when it is needed, since what another one needs may be missing."""
    if engine == "native":
        from . import native

        return native
    if engine == "pydensecrf":
        from . import library

        return library
    raise ValueError(f"engine is {engine!r}, must be 'native' or 'pydensecrf'")
