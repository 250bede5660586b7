"""EAGLE (Kim et al. 2024)."""

from .head import EagleHead

__all__ = ["EagleHead"]
