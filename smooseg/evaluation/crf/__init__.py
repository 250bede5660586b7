"""Dense CRF: a view's logits and pixels come in, refined cluster ids go out; two engines compute the same."""

from .refinement import find_engine, refine, refined_marginals

__all__ = ["find_engine", "refine", "refined_marginals"]
