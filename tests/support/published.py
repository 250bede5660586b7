"""Tiny networks under the names of published ones: their architecture and number of blocks, and few channels."""

from functools import partial

import pytest
import timm
import torch
from timm.models import _registry, get_arch_name

CHANNELS = 8  # of each attention head
STAGES = (16, 16, 16, 32)  # channels of a ResNet's


def shrink(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let timm build a tiny network of an architecture, with the published name, hub id and normalisation."""
    entry = _registry._model_entrypoints[get_arch_name(name)]
    with torch.device("meta"):
        whole = timm.create_model(name, num_classes=0)
    if hasattr(whole, "blocks"):
        heads = whole.blocks[0].attn.num_heads
        changes = {"num_heads": heads, "embed_dim": CHANNELS * heads}
    else:
        changes = {"channels": STAGES, "layers": (1, 1, 1, 1)}
    monkeypatch.setitem(_registry._model_entrypoints, get_arch_name(name), partial(entry, **changes))


def random_state(name: str, **options) -> dict[str, torch.Tensor]:
    """Random weights of a model, with its classifier."""
    torch.manual_seed(0)
    return {key: value.contiguous() for key, value in timm.create_model(name, **options).state_dict().items()}
