"""Label maps: stores of uint8 (images, size, size), class, cluster or mask ids, one row per image or training view.

Blocks of whole chunks are independent tasks, and blocks that an earlier run wrote are kept.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from ..features.store import Store, create_store
from ..running.parallel import compute

LOG = logging.getLogger(__name__)
CHUNK = 8  # images in a chunk of a label store: with mirror images, one chunk of features


def create_label_store(features: Store, images: int, path: Path, made_from: dict) -> Store:
    """A store for maps of uint8 ids at the size of a feature store's views; one for each image, or training view."""
    size = features.provenance["size"]
    provenance = {"manifest_sha256": features.provenance["manifest_sha256"], "size": size} | made_from
    return create_store(path, (images, size, size), "uint8", CHUNK, provenance, codec="zstd")


def engine_workers(engine: str, workers: int, scheduler: str | None) -> tuple[int, int]:
    """Processes, and threads in each, for a CRF engine: the native one lets go of Python's lock.

    Args:
        engine: As :func:`smooseg.evaluation.refinement.find_engine` gives it.
        workers: Cores to use on this machine.
        scheduler: Of a Dask cluster, whose workers have one thread a task.
    """
    return (1, workers) if engine == "native" and scheduler is None else (workers, 1)


def fill(
    output: Store,
    block: Callable,
    task: Callable[[int, int], tuple],
    workers: int,
    scheduler: str | None,
    images: int = CHUNK,
) -> None:
    """Write the blocks that a label store lacks, and finish it.

    Args:
        output: The store.
        block: Writes one block of images.
        task: Arguments of ``block`` for images ``start`` to ``stop``.
        workers, scheduler: See :func:`smooseg.running.parallel.compute`.
        images: In a block, whole chunks.
    """
    blocks = output.blocks(images)
    lacking = [limits for limits in blocks if not output.is_written(*limits)]
    place_of_work = scheduler or f"{workers} processes"
    LOG.info("%s: %d of %d blocks to do, on %s", output.path, len(lacking), len(blocks), place_of_work)
    compute(block, [task(*limits) for limits in lacking], workers, scheduler, block.__name__)
    output.finish()
