"""HP (Seong et al. 2023)."""

from .head import HPHead

__all__ = ["HPHead"]
