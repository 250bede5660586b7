"""SmooSeg (Lan et al. 2023)."""

from .head import SmooSegHead

__all__ = ["SmooSegHead"]
