"""Dense CRF: labels' log-probabilities and an image's pixels come in, refined labels or marginals go out.

Stands by itself: it imports nothing of smooseg, and knows nothing of heads, features or configurations.
"""

from .field import NarrowKernels
from .inference import dense_crf

__all__ = ["NarrowKernels", "dense_crf"]
