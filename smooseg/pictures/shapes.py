"""Views of any shape: a whole image at the backbone's scale, where the workflow's views are squares of one size."""

from pathlib import Path

import torch
from torch import nn

from ..features.backbones import Backbone
from ..features.provenance import round_to_patch

LONGEST = 3  # times the shorter side: a longer view would cost more and look like nothing a head was fitted on


def view_shape(width: int, height: int, size: int, patch: int) -> tuple[int, int]:
    """Height and width of an image's view: multiples of the patch, the shorter side ``size``, the aspect kept.

    Args:
        width, height: Of the image (pixels).
        size: Shorter side of the view (pixels), before rounding up to the patch. Images of an aspect beyond
            :data:`LONGEST` get a shorter one where they would have to be enlarged.
        patch: Of the backbone (pixels).
    """
    size = round_to_patch(size, patch)
    scale = min(size / min(width, height), max(LONGEST * size / max(width, height), 1))
    return scaled_shape(width, height, scale, patch)


def scaled_shape(width: int, height: int, scale: float, patch: int) -> tuple[int, int]:
    """Height and width (pixels, multiples of the patch) of an image of which each pixel becomes ``scale`` ones."""
    return max(patch, round(scale * height / patch) * patch), max(patch, round(scale * width / patch) * patch)


def fits_a_view(shape: tuple[int, int], side: int) -> bool:
    """Whether a view is seen at once: its shorter side is at most ``side``, its longer one not out of proportion."""
    return min(shape) <= side and max(shape) <= LONGEST * side


class ShapedBackbone(Backbone):
    """A backbone whose views can change shape; each shape's position grid comes from the one that was loaded."""

    shape: tuple[int, int] | None = None

    def load(self, path: Path) -> "ShapedBackbone":
        super().load(path)
        if hasattr(self.model, "set_input_size"):
            self.native = self.model.patch_embed.img_size
            positions = getattr(self.model, "pos_embed", None)
            self.positions = None if positions is None else positions.detach().clone()
        return self

    def prepare_shape(self, shape: tuple[int, int], device: torch.device) -> "ShapedBackbone":
        """Fix height and width of the views (pixels, multiples of the patch), precision and device."""
        if shape != self.shape and hasattr(self.model, "set_input_size"):
            self.model.set_input_size(img_size=self.native)
            if self.positions is not None:
                self.model.pos_embed = nn.Parameter(self.positions.clone())
            self.model.set_input_size(img_size=shape)
        self.shape = shape
        return self.eval().requires_grad_(False).to(device, self.dtype)
