"""From cached evaluation features and a head to label maps, with and without the CRF.

A feature store has two rows per image, its view and the mirror image; a label store has one. Blocks
of whole chunks are independent tasks.
"""

import logging
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import torch
from tqdm.dask import TqdmCallback

from .crf import refine
from .heads import load_head
from .imaging import read_views
from .labelmaps import CHUNK, create_label_store
from .progress import progress
from .provenance import file_sha256
from .segmentation import image_logits
from .store import Store, open_store


def predict_labels(features: Store, head_path: Path, path: Path, code: str) -> None:
    """Store the clusters that a head gives every pixel of the evaluation views.

    Args:
        features: Evaluation features.
        head_path: A fitted head.
        path: Store to write.
        code: Hash of the code that decides the result.
    """
    head, _ = load_head(head_path)
    output = create_label_store(
        features, features.views // 2, path, {"head_sha256": file_sha256(head_path), "code": code}
    )
    for start, stop in progress(output.blocks(CHUNK), unit="block", desc="predict"):
        logits = image_logits(head, features, 2 * start, 2 * stop, output.shape[1])
        output.write(start, torch.stack([image.argmax(0) for image in logits]).to(torch.uint8).numpy())
    output.finish()


def refine_labels(
    features: Store, head_path: Path, manifest: pd.DataFrame, root: Path, crf: dict, workers: int, path: Path, code: str
) -> None:
    """Store the clusters of every pixel after the dense CRF; blocks an earlier run wrote are kept.

    Args:
        features, head_path, path, code: As for :func:`predict_labels`.
        manifest: Evaluation views, for their pixels.
        root: The data set's folder.
        crf: Settings of :func:`smooseg.crf.refine`.
        workers: Processes.
    """
    facts = {"head_sha256": file_sha256(head_path), "crf": crf, "code": code}
    output = create_label_store(features, features.views // 2, path, facts)
    blocks = [block for block in output.blocks(CHUNK) if not output.written(*block)]
    logging.info("%s: %d blocks of %d images with %d processes", path, len(blocks), CHUNK, workers)
    views = manifest[~manifest["mirror"]]
    tasks = [
        dask.delayed(refine_block)(features.path, head_path, views.iloc[start:stop], root, crf, path, start)
        for start, stop in blocks
    ]
    scheduler = "processes" if workers > 1 else "sync"
    with TqdmCallback(desc="crf", unit="block", disable=None):
        dask.compute(*tasks, scheduler=scheduler, num_workers=workers, chunksize=1)
    output.finish()


def refine_block(
    features: Path, head_path: Path, rows: pd.DataFrame, root: Path, crf: dict, path: Path, start: int
) -> None:
    """Refine image ``start`` and those that follow it, and write them to the label store at ``path``."""
    torch.set_num_threads(1)  # the processes share the cores
    store, output, (head, _) = open_store(features, {}, survey=False), Store(path), load_head(head_path)
    size = output.shape[1]
    logits = image_logits(head, store, 2 * start, 2 * (start + len(rows)), size)
    pixels = read_views(root, rows, size, store.provenance["resample"])
    output.write(start, np.stack([refine(image, view, crf) for image, view in zip(logits, pixels, strict=True)]))
