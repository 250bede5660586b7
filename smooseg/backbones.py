"""Frozen backbones from timm: built from a weights file, giving patch features of one block."""

from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import nn

from .errors import SmoosegError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def create_model(name: str, pretrained: bool = False) -> nn.Module:
    """A timm model without a classifier.

    Raises:
        SmoosegError: If timm does not know the name, or its weights cannot be fetched.
    """
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0)
    except Exception as error:  # the hub client raises many kinds
        what = "could not be fetched" if pretrained else "is not a model timm knows"
        raise SmoosegError(f"{name} {what} ({str(error).splitlines()[0]})") from error


def load_strictly(model: nn.Module, state: dict[str, torch.Tensor], source: str | Path) -> None:
    """Load weights that must fit a model exactly.

    Raises:
        SmoosegError: Saying which keys are missing, unexpected, of another shape or not finite.
    """
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise SmoosegError(f"{source}: weights do not fit the model ({' '.join(str(error).split())})") from error
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise SmoosegError(f"{source}: weights hold NaN or infinite values in {', '.join(broken[:5])}")


class Backbone(nn.Module):
    """Patch features of one block of a frozen vision transformer.

    Args:
        model: Name of a timm model.
        block: Block whose output is taken; negative counts from the last.
        norm: Whether the model's final norm is applied to it.
        precision: Key of :data:`DTYPES`.
    """

    def __init__(self, model: str, block: int, norm: bool, precision: str):
        super().__init__()
        self.model = create_model(model)
        depth = len(getattr(self.model, "blocks", ()))
        if not -depth <= block < depth:
            raise SmoosegError(f"{model}: block {block} is outside its {depth} blocks")
        self.block, self.norm, self.dtype = block % depth, norm, DTYPES[precision]
        config = self.model.pretrained_cfg
        self.register_buffer("mean", 255 * torch.tensor(config["mean"]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(config["std"]).view(3, 1, 1), persistent=False)

    def load(self, path: Path) -> "Backbone":
        """Load a weights file strictly, and return self."""
        load_strictly(self.model, load_file(path), path)
        return self

    def prepare(self, size: int, device: torch.device) -> "Backbone":
        """Fix the view size (the position grid is interpolated once, here), precision and device."""
        if hasattr(self.model, "set_input_size"):
            self.model.set_input_size(img_size=(size, size))
        return self.eval().requires_grad_(False).to(device, self.dtype)

    @torch.inference_mode()
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Patch features.

        Args:
            pixels: uint8 (views, size, size, 3) on any device.

        Returns:
            float16 (views, patches, channels), patches in row-major order, prefix tokens dropped.
        """
        images = pixels.to(self.mean.device, non_blocking=True).permute(0, 3, 1, 2).to(self.dtype)
        images = (images - self.mean) / self.std
        features = self.model.forward_intermediates(
            images, indices=[self.block], norm=self.norm, stop_early=True, output_fmt="NLC", intermediates_only=True
        )
        return features[0].to(torch.float16)
