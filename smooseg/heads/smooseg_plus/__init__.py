"""SmooSeg+: the smoothness prior in closed form, and a consensus of clusterings."""

from .head import SmooSegPlusHead

__all__ = ["SmooSegPlusHead"]
