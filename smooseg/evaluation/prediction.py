"""From cached evaluation features and a head to label maps, with and without the CRF.

A feature store has two rows per image, its view and the mirror image; a label store has one. Blocks
of whole chunks are independent tasks, and blocks that an earlier run wrote are kept.
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..features.provenance import file_sha256
from ..features.store import Store, open_store
from ..heads import load_head
from ..images.imaging import read_views
from ..running.device import keep_freed_memory
from ..running.parallel import compute, place
from .crf import refine
from .labelmaps import CHUNK, create_label_store
from .segmentation import image_logits


def predict_labels(
    features: Store, head_path: Path, path: Path, code: str, *, workers: int = 1, scheduler: str | None = None
) -> None:
    """Store the clusters that a head gives every pixel of the evaluation views.

    Args:
        features: Evaluation features.
        head_path: A fitted head.
        path: Store to write.
        code: Hash of the code that decides the result.
        workers, scheduler: Where it is computed, see :func:`smooseg.running.parallel.compute`.
    """
    facts = {"head_sha256": file_sha256(head_path), "code": code}
    output = create_label_store(features, features.views // 2, path, facts)
    inputs = place(features.path), place(head_path), place(path)
    fill(output, predict_block, lambda start, stop: (*inputs, start, stop), workers, scheduler)


def refine_labels(
    features: Store,
    head_path: Path,
    path: Path,
    code: str,
    manifest: pd.DataFrame,
    root: Path,
    crf: dict,
    *,
    workers: int = 1,
    scheduler: str | None = None,
) -> None:
    """Store the clusters of every pixel after the dense CRF.

    Args:
        features, head_path, path, code, workers, scheduler: As for :func:`predict_labels`.
        manifest: Evaluation views, for their pixels.
        root: The data set's folder.
        crf: Settings of :func:`smooseg.evaluation.crf.refine`.
    """
    facts = {"head_sha256": file_sha256(head_path), "crf": crf, "code": code}
    output = create_label_store(features, features.views // 2, path, facts)
    inputs, views = (place(features.path), place(head_path), place(path)), manifest[~manifest["mirror"]]
    where = place(root)
    fill(output, refine_block, lambda start, stop: (*inputs, start, views[start:stop], where, crf), workers, scheduler)


def fill(
    output: Store, block: Callable, task: Callable[[int, int], tuple], workers: int, scheduler: str | None
) -> None:
    """Write the blocks that a label store lacks, and finish it.

    Args:
        output: The store.
        block: Writes one block of images.
        task: Arguments of ``block`` for images ``start`` to ``stop``.
        workers, scheduler: See :func:`smooseg.running.parallel.compute`.
    """
    blocks = output.blocks(CHUNK)
    lacking = [limits for limits in blocks if not output.written(*limits)]
    place_of_work = scheduler or f"{workers} processes"
    logging.info("%s: %d of %d blocks to do, on %s", output.path, len(lacking), len(blocks), place_of_work)
    compute(block, [task(*limits) for limits in lacking], workers, scheduler, block.__name__)
    output.finish()


def predict_block(features: str | Path, head_path: Path, path: Path, start: int, stop: int) -> None:
    """Classify the pixels of images ``start`` to ``stop``, and write them to the label store at ``path``."""
    output, store = Store(path), open_store(features, {}, survey=False)
    logits = block_logits(store, head_path, start, stop, output.shape[1])
    output.write(start, np.stack([image.argmax(0).to(torch.uint8).numpy() for image in logits]))


def refine_block(
    features: str | Path, head_path: Path, path: Path, start: int, rows: pd.DataFrame, root: Path, crf: dict
) -> None:
    """Refine image ``start`` and those that follow it, and write them to the label store at ``path``."""
    keep_freed_memory()  # the CRF asks for large matrices in every iteration
    output, store = Store(path), open_store(features, {}, survey=False)
    size = output.shape[1]
    pixels = read_views(root, rows, size, store.provenance["resample"])
    logits = block_logits(store, head_path, start, start + len(rows), size)
    output.write(start, np.stack([refine(image, view, crf) for image, view in zip(logits, pixels, strict=True)]))


def block_logits(store: Store, head_path: Path, start: int, stop: int, size: int) -> Iterator[torch.Tensor]:
    """Pixel logits of images ``start`` to ``stop``, computed by one thread: processes share the cores."""
    torch.set_num_threads(1)
    return image_logits(load_head(head_path)[0], store, 2 * start, 2 * stop, size)
