"""The block of a vision transformer that follows the cached one, from the backbone's weights file."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from ...errors import SmoosegError
from ...features.backbones import create_model, load_strictly
from ...features.provenance import block_indices


class NextBlock(nn.Module):
    """Patches of a block's output from the tokens that enter it, after the final norm where the block is the last.

    Args:
        model: Name of a timm model.
        cached: Block whose output the tokens are; negative counts from the last.
        weights: Its safetensors file; None builds the block alone, for weights of a saved head.

    Raises:
        SmoosegError: If no block follows, or it needs more than tokens.
    """

    def __init__(self, model: str, cached: int, weights: Path | None):
        super().__init__()
        with torch.device("cpu" if weights else "meta"):  # without a file, values would be drawn in vain
            network = create_model(model)
        blocks = list(getattr(network, "blocks", []))
        if not blocks or getattr(network, "rope", None) is not None:
            raise SmoosegError(f"{model}: its blocks do not go on from tokens alone; take a plain vision transformer")
        following = block_indices(model, cached, len(blocks))[0] + 1
        if following == len(blocks):
            raise SmoosegError(f"{model}: no block follows block {cached}; cache an earlier one, as -2")
        if weights:
            load_strictly(network, load_file(weights), weights)
        self.prefix: int = network.num_prefix_tokens
        self.block, self.norm = blocks[following], network.norm if following + 1 == len(blocks) else nn.Identity()
        self.norm.requires_grad_(False)  # as published: the block alone is trained
        if not weights:
            self.to_empty(device="cpu")

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Patches (views, patches, channels) of tokens (views, prefix + patches, channels)."""
        return self.norm(self.block(tokens))[:, self.prefix :]
