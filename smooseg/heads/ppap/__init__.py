"""PPAP (Seong et al. 2024)."""

from .head import PpapHead

__all__ = ["PpapHead"]
