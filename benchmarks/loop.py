"""A training step of SmooSeg from cached features against the same step with the backbone in the loop, in one run.

The backbone is a ViT-S/8 with random weights on views of 224 pixels, in the precision in which the processor is fast.
The batch is 32 views of 784 patches, as published. The released code runs the backbone in every step.
"""

import time
from statistics import median

import timm
import torch

from benchmarks.cache import settings
from benchmarks.common import row
from smooseg.heads.smooseg.head import PRECISIONS, SmooSegHead
from smooseg.running.device import keep_freed_memory
from smooseg.running.machine import fast_precision

CHANNELS, CLUSTERS, BATCH, PATCHES, SIZE, AT_ONCE = 384, 27, 32, 784, 224, 8
TURNS = 3  # of each, one after the other


@torch.inference_mode()
def features_of(backbone: torch.nn.Module, views: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Patch features (views, patches, channels) in float16, some views at a time."""
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        parts = [backbone.forward_features(part)[:, 1:].half() for part in views.split(AT_ONCE)]
    return torch.cat(parts)


def run() -> list[dict]:
    """Seconds of a step, medians of some turns, on all threads."""
    torch.manual_seed(0)
    keep_freed_memory()
    precision = fast_precision()
    precision = precision if precision in PRECISIONS else "float32"
    head = SmooSegHead(CHANNELS, CLUSTERS, settings(precision=precision))
    generator = torch.Generator().manual_seed(0)
    optimizer = head.optimizer()
    backbone = timm.create_model("vit_small_patch8_224", num_classes=0).eval()
    views, cached = torch.randn(BATCH, 3, SIZE, SIZE), torch.randn(BATCH, PATCHES, CHANNELS, dtype=torch.float16)

    def step(batch: torch.Tensor) -> None:
        loss, _ = head.energy(batch, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step(cached)
    times: dict[str, list[float]] = {"cache": [], "loop": []}
    for _ in range(TURNS):
        for name in times:
            began = time.perf_counter()
            step(cached if name == "cache" else features_of(backbone, views, PRECISIONS[precision]))
            times[name].append(time.perf_counter() - began)
    cache, loop = median(times["cache"]), median(times["loop"])
    return [
        row(
            f"training step from the cache against ViT-S/8 in the loop, {precision} (s)",
            cache,
            loop,
            loop / cache,
            "higher",
        )
    ]
