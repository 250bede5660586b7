"""Frozen backbones from timm: built from a weights file, giving patch features of some blocks."""

from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any, Self

import timm
import torch
from safetensors.torch import load_file
from torch import nn

from ..errors import SmoosegError
from ..running.device import own_randomness
from ..settings.held import HELD
from .provenance import block_indices

LONGEST = 300  # characters of what timm says: it names every tensor that does not fit, on a line each
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def create_model(name: str, pretrained: bool = False) -> Any:
    """A timm model without a classifier; no type says what timm's models share.

    Pretrained weights are loaded with their classifier: without it, timm takes checkpoints that lack tensors.

    Raises:
        SmoosegError: If timm does not know the name, its weights cannot be fetched, or it gives no features.
    """
    options: dict[str, Any] = {} if pretrained else {"num_classes": 0}
    try:
        model: Any = timm.create_model(name, pretrained=pretrained, **options)
        if pretrained:
            model.reset_classifier(0)
    except Exception as error:  # the hub client raises many kinds
        what = "could not be fetched" if pretrained else "is not a model timm knows"
        reason = shorten(str(error), LONGEST, placeholder=" …") or type(error).__name__
        raise SmoosegError(f"{name} {what} ({reason})") from error
    if not hasattr(model, "forward_intermediates"):
        raise SmoosegError(f"{name} does not give the features of its blocks: timm has no forward_intermediates for it")
    return model


def hub_repository(name: str) -> str | None:
    """The hub's repository of a timm model's weights, as ``timm/NAME``; None where timm names none."""
    found = timm.models.get_pretrained_cfg(name)
    return found.hf_hub_id if found else None


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
        what = "; ".join(f"{kind}: {name_some(names)}" for kind, names in problems.items() if names)
        raise SmoosegError(f"{source}: weights do not fit the model ({what})")
    model.load_state_dict(state)
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise SmoosegError(f"{source}: weights hold NaN or infinite values in {name_some(broken)}")


def name_some(names: list[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


class Backbone(nn.Module):
    """Patch features of one or several blocks of a frozen network.

    In a vision transformer a block is a transformer block, and a patch one of its patches. In a network of several
    scales, as a ResNet, it is a stage as timm counts them (the stem is ResNet's first of five), and a patch is a
    position of its feature map.

    Args:
        model: Name of a timm model.
        block: Block whose output is taken, or several to concatenate; negative counts from the last.
        norm: Whether the model's final norm is applied to it.
        precision: Key of :data:`DTYPES`.
        features: "tokens" takes a block's output, "keys" those of its attention, without norm and position.
        prefix: Whether (or how many of) the tokens before the patches stay.

    Raises:
        SmoosegError: If the model lacks such a block, a final norm to apply to it, a class token, or keys.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        model: str,
        block: int | list[int],
        norm: bool,
        precision: str,
        features: str = "tokens",
        prefix: int | bool = False,
    ):
        super().__init__()
        self.model = create_model(model)
        depth = len(self.model.feature_info)
        self.blocks, self.norm, self.dtype = block_indices(model, block, depth), norm, DTYPES[precision]
        self.tokens, self.prefix = hasattr(self.model, "num_prefix_tokens"), bool(prefix)  # without tokens: maps
        final = getattr(self.model, "norm", nn.Identity())
        last = features == "tokens" and (self.tokens or self.blocks == [depth - 1])
        if norm and (isinstance(final, nn.Identity) or not last):
            raise SmoosegError(
                f"{model} has no final norm to apply to {features} of block {block}: set the backbone's norm to false"
            )
        if prefix and not getattr(self.model, "num_prefix_tokens", 0):
            raise SmoosegError(f"{model} has no class token: set the backbone's prefix to false")
        self.keys = self.watch_keys(model) if features == "keys" else None
        config = self.model.pretrained_cfg
        self.register_buffer("mean", 255 * torch.tensor(config["mean"]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(config["std"]).view(3, 1, 1), persistent=False)

    @classmethod
    @own_randomness()  # weights are drawn before they are read
    def of(cls, needs: dict) -> Self:
        """The backbone that gives a store's features, by its provenance."""
        return cls(precision=needs["precision"], **{key: needs[key] for key in HELD if key in needs})

    def watch_keys(self, name: str) -> dict[int, torch.Tensor]:
        """Where each forward pass leaves the keys of the chosen blocks: (views, tokens, channels), by block.

        Raises:
            SmoosegError: If the model has no attention that tells them.
        """
        kept: dict[int, torch.Tensor] = {}

        def keep(number: int, parts: int, module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            kept[number] = output.chunk(parts, -1)[parts // 2]  # of queries, keys and values the middle

        for number in self.blocks:
            attention = getattr(getattr(self.model, "blocks", {number: None})[number], "attn", None)
            fused, alone = (getattr(attention, part, None) for part in ("qkv", "k_proj"))
            watched = fused or alone
            if watched is None:
                raise SmoosegError(
                    f"{name}: block {number} has no attention keys: set the backbone's features to tokens"
                )
            watched.register_forward_hook(partial(keep, number, 3 if fused else 1))
        return kept

    def load(self, path: Path) -> Self:
        """Load a weights file strictly, and return self."""
        load_strictly(self.model, load_file(path), path)
        return self

    def prepare(self, size: int, device: torch.device) -> Self:
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
            float16 (views, patches, channels), patches in row-major order, after the prefix tokens where they stay.
        """
        images = pixels.to(self.mean.device, non_blocking=True).permute(0, 3, 1, 2).to(self.dtype)
        images = (images - self.mean) / self.std
        outputs = self.model.forward_intermediates(
            images,
            indices=self.blocks,
            norm=self.norm,
            stop_early=True,
            output_fmt="NLC" if self.tokens else "NCHW",
            intermediates_only=True,
            **({"return_prefix_tokens": True} if self.prefix else {}),
        )
        if self.keys is not None:
            start = 0 if self.prefix else self.model.num_prefix_tokens
            outputs = [self.keys.pop(number)[:, start:] for number in self.blocks]
        elif self.prefix:
            outputs = [torch.cat([prefix, patches], 1) for patches, prefix in outputs]
        elif not self.tokens:
            outputs = [output.flatten(2).mT for output in outputs]
        return torch.cat(outputs, -1).to(torch.float16)
