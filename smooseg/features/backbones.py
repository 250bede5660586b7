"""Frozen backbones from timm: built from a weights file, giving patch features of one block."""

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import nn

from ..errors import SmoosegError
from .provenance import block_index

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def create_model(name: str, pretrained: bool = False) -> Any:
    """A timm model without a classifier; no type says what timm's models share.

    Raises:
        SmoosegError: If timm does not know the name, its weights cannot be fetched, or it gives no features.
    """
    try:
        model = timm.create_model(name, pretrained=pretrained, num_classes=0)
    except Exception as error:  # the hub client raises many kinds
        what = "could not be fetched" if pretrained else "is not a model timm knows"
        raise SmoosegError(f"{name} {what} ({str(error).splitlines()[0]})") from error
    if not hasattr(model, "forward_intermediates"):
        raise SmoosegError(f"{name} does not give the features of its blocks: timm has no forward_intermediates for it")
    return model


def load_strictly(model: nn.Module, state: dict[str, torch.Tensor], source: str | Path) -> None:
    """Load weights that must fit a model exactly.

    Raises:
        SmoosegError: Saying which keys are missing, unexpected, of another shape or not finite.
    """
    own = model.state_dict()
    problems = {
        # old checkpoints lack the counters of batch norms, which inference does not use
        "missing": [n for n in own if n not in state and not n.endswith("num_batches_tracked")],
        "unexpected": [n for n in state if n not in own],
        "other shape": [
            f"{n} {tuple(tensor.shape)} instead of {tuple(own[n].shape)}"
            for n, tensor in state.items()
            if n in own and tensor.shape != own[n].shape
        ],
    }
    if any(problems.values()):
        what = "; ".join(f"{kind}: {some(names)}" for kind, names in problems.items() if names)
        raise SmoosegError(f"{source}: weights do not fit the model ({what})")
    model.load_state_dict(state)
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise SmoosegError(f"{source}: weights hold NaN or infinite values in {some(broken)}")


def some(names: list[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


class Backbone(nn.Module):
    """Patch features of one block of a frozen network.

    In a vision transformer a block is a transformer block, and a patch one of its patches. In a network of several
    scales, as a ResNet, it is a stage as timm counts them (the stem is ResNet's first of five), and a patch is a
    position of its feature map.

    Args:
        model: Name of a timm model.
        block: Block whose output is taken; negative counts from the last.
        norm: Whether the model's final norm is applied to it.
        precision: Key of :data:`DTYPES`.

    Raises:
        SmoosegError: If there is no such block, or no final norm to apply to it.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: str, block: int, norm: bool, precision: str):
        super().__init__()
        self.model = create_model(model)
        depth = len(self.model.feature_info)
        self.block, self.norm, self.dtype = block_index(model, block, depth), norm, DTYPES[precision]
        self.tokens = hasattr(self.model, "num_prefix_tokens")  # else it gives maps
        final = getattr(self.model, "norm", nn.Identity())
        if norm and (isinstance(final, nn.Identity) or not (self.tokens or self.block == depth - 1)):
            raise SmoosegError(f"{model} has no final norm to apply to block {block}: set the backbone's norm to false")
        config = self.model.pretrained_cfg
        self.register_buffer("mean", 255 * torch.tensor(config["mean"]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(config["std"]).view(3, 1, 1), persistent=False)

    def load(self, path: Path) -> "Backbone":
        """Load a weights file strictly, and return self."""
        load_strictly(self.model, load_file(path), path)
        return self

    def prepare(self, size: int, device: torch.device) -> "Backbone":
        """Fix the view size (a position grid is interpolated once, here), precision and device."""
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
        (features,) = self.model.forward_intermediates(
            images,
            indices=[self.block],
            norm=self.norm,
            stop_early=True,
            output_fmt="NLC" if self.tokens else "NCHW",
            intermediates_only=True,
        )
        return (features if self.tokens else features.flatten(2).mT).to(torch.float16)
