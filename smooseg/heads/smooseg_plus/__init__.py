"""SmooSeg+: the smoothness prior in closed form, and one tree of clusters for every number of them."""

from .head import SmooSegPlusHead

__all__ = ["SmooSegPlusHead"]
