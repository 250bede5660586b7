"""A training step against the projector's own forward and backward on the same batch, on one thread."""

import torch
import torch.nn.functional as F

from benchmarks.cache import settings
from benchmarks.common import best_time, row
from smooseg.heads.smooseg.head import PRECISIONS, SmooSegHead
from smooseg.running.device import keep_freed_memory

CHANNELS, CLUSTERS, BATCH = 384, 27, 32
STEPS = 5  # of a timed run


@keep_freed_memory()
def step_times(patches: int, precision: str) -> tuple[float, float]:
    """Seconds of a whole step, and of the projector alone in the same precision, taking turns."""
    torch.manual_seed(0)
    head = SmooSegHead(CHANNELS, CLUSTERS, settings(precision=precision))
    generator, dtype = torch.Generator().manual_seed(0), PRECISIONS[precision]
    batch = torch.randn(BATCH, patches, CHANNELS, dtype=torch.float16)
    optimizer = head.optimizer()
    inputs = batch.to(dtype)

    def step():
        loss, _ = head.energy(batch, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def projector():
        head.zero_grad()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            embeddings = head.projector(inputs, inputs)
        F.normalize(embeddings.float(), dim=-1).sum().backward()

    def repeat(function):
        return best_time(lambda: [function() for _ in range(STEPS)], 2) / STEPS

    times = [(repeat(step), repeat(projector)) for _ in range(2)]
    return tuple(map(min, zip(*times, strict=True)))


def run() -> list[dict]:
    """At the patches of ViT-S/14 and ViT-S/8 views, in both precisions."""
    rows, whole, threads = [], {}, torch.get_num_threads()
    torch.set_num_threads(1)  # as trainings have
    for patches in (256, 784):
        for precision in PRECISIONS:
            whole[precision], alone = step_times(patches, precision)
            metric = f"training step against its projector alone, {patches} patches, {precision} (ms)"
            rows.append(row(metric, 1000 * whole[precision], 1000 * alone, whole[precision] / alone, "lower", 1.25))
        fast, slow = whole["bfloat16"], whole["float32"]
        metric = f"training step in bfloat16 against float32, {patches} patches (ms)"
        rows.append(row(metric, 1000 * fast, 1000 * slow, fast / slow, "lower"))
    torch.set_num_threads(threads)
    return rows
