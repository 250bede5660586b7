"""Tiny networks under the names of published ones: their architecture and number of blocks, and few channels."""

from functools import cache, partial

import pytest
import timm
import torch
from safetensors.torch import save
from timm.models import _registry, get_arch_name

HEADS, CHANNELS = 4, 8  # of attention, and channels of each: more channels than 27 clusters, which PriMaPs-EM needs
STAGES = (16, 16, 16, 32)  # channels of a ResNet's


@cache
def smaller(name: str) -> dict:
    """Arguments with which timm builds a tiny network of an architecture."""
    with torch.device("meta"):
        whole = timm.create_model(name, num_classes=0)
    if not hasattr(whole, "blocks"):
        return {"channels": STAGES, "layers": (1, 1, 1, 1)}
    return {"num_heads": HEADS, "embed_dim": CHANNELS * HEADS}


def shrink(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let timm build a tiny network of an architecture, with the published name, hub id and normalisation."""
    changes, arch = smaller(name), get_arch_name(name)
    monkeypatch.setitem(_registry._model_entrypoints, arch, partial(_registry._model_entrypoints[arch], **changes))


def random_state(name: str, **options) -> dict[str, torch.Tensor]:
    """Random weights of a model, with its classifier where the published weights have one."""
    torch.manual_seed(0)
    return {key: value.contiguous() for key, value in timm.create_model(name, **options).state_dict().items()}


@cache
def tiny_file(name: str) -> bytes:
    """Random weights of a tiny network as safetensors."""
    return save(random_state(name, **smaller(name)))
