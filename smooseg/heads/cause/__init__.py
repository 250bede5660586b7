"""CAUSE (Kim et al. 2023), without labels."""

from .head import CauseHead

__all__ = ["CauseHead"]
