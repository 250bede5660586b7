"""From cached evaluation features and a head to label maps, with and without the CRF.

A feature store has two rows per image, its view and the mirror image; a label store has one. Blocks
of whole chunks are independent tasks, and blocks that an earlier run wrote are kept.
"""

from pathlib import Path

import numpy as np
import torch

from ..errors import SmoosegError
from ..features.provenance import file_sha256
from ..features.store import Store, open_store
from ..heads import Head, load_head
from ..heads.base import read_head
from ..images.imaging import read_views
from ..images.manifests import read_rows
from ..running.device import keep_freed_memory
from ..running.device import threads as torch_threads
from ..running.parallel import absolute, in_threads
from .labelmaps import CHUNK, create_label_store, engine_workers, fill
from .refinement import find_engine, refine
from .segmentation import averaged_embeddings, best_clusters, image_logits, pixel_logits


def require_same_precision(features: Store, head_path: Path) -> None:
    """Raise if evaluation features were computed in another precision than those that the head was trained on.

    That happens where ``extract.precision`` is auto and machines with and without bfloat16 share the work.
    """
    theirs, ours = (
        facts["precision"] for facts in (read_head(head_path)[0]["experiment"]["features"], features.provenance)
    )
    if theirs != ours:
        raise SmoosegError(
            f"{features.path}: made in {ours}, and the head was trained on features in {theirs}; "
            "set extract.precision to one of them and run again"
        )


def load_named(path: Path, named: int | None) -> Head:
    """A saved head at the cut that names were given for: its finest one if there are as many, else its own.

    Args:
        path: Its file.
        named: Rows of a table of names, see :func:`smooseg.evaluation.naming.read_names`; None if there is none.
    """
    head, _ = load_head(path)
    return head.cut(named) if named == head.cuts[-1] else head


def predict_labels(
    features: Store,
    head_path: Path,
    path: Path,
    code: str,
    *,
    named: int | None = None,
    workers: int = 1,
    scheduler: str | None = None,
) -> None:
    """Store the clusters that a head gives every pixel of the evaluation views.

    Args:
        features: Evaluation features.
        head_path: A fitted head.
        path: Store to write.
        code: Hash of the code that decides the result.
        named: See :func:`load_named`.
        workers, scheduler: Where it is computed, see :func:`smooseg.running.parallel.compute`.
    """
    facts = {"head_sha256": file_sha256(head_path), "named": named, "code": code}
    output = create_label_store(features, features.views // 2, path, facts)
    inputs = absolute(features.path), absolute(head_path), absolute(path)
    fill(output, predict_block, lambda start, stop: (*inputs, start, stop, named), workers, scheduler)


def refine_labels(
    features: Store,
    head_path: Path,
    path: Path,
    code: str,
    manifest: Path,
    root: Path,
    crf: dict,
    *,
    named: int | None = None,
    workers: int = 1,
    scheduler: str | None = None,
) -> None:
    """Store the clusters of every pixel after the dense CRF.

    Args:
        features, head_path, path, code, named, workers, scheduler: As for :func:`predict_labels`.
        manifest: Parquet file of the evaluation views, for their pixels.
        root: The data set's folder.
        crf: Settings of :func:`smooseg.evaluation.refinement.refine`.
    """
    crf = crf | {"engine": find_engine(crf["engine"])}
    facts = {"head_sha256": file_sha256(head_path), "named": named, "crf": crf, "code": code}
    output = create_label_store(features, features.views // 2, path, facts)
    inputs, views = (absolute(features.path), absolute(head_path), absolute(path)), (absolute(manifest), absolute(root))
    workers, threads = engine_workers(crf["engine"], workers, scheduler)

    def task(start: int, stop: int) -> tuple:
        return *inputs, start, stop, *views, crf, threads, named

    fill(output, refine_block, task, workers, scheduler, CHUNK * -(-threads // 4))


@torch_threads(1)  # processes share the cores
def predict_block(
    features: str | Path, head_path: Path, path: Path, start: int, stop: int, named: int | None = None
) -> None:
    """Classify the pixels of images ``start`` to ``stop``, and write them to the label store at ``path``."""
    output, store = Store(path), open_store(features, {}, survey=False)
    logits = image_logits(load_named(head_path, named), store, 2 * start, 2 * stop, output.shape[1])
    output.write(start, np.stack([best_clusters(image) for image in logits]))


@torch_threads(1)
@keep_freed_memory()  # the CRF asks for large matrices for every image
def refine_block(
    features: str | Path,
    head_path: Path,
    path: Path,
    start: int,
    stop: int,
    manifest: Path,
    root: Path,
    crf: dict,
    threads: int,
    named: int | None = None,
) -> None:
    """Refine images ``start`` to ``stop``, an image a thread, and write them to the label store at ``path``."""
    output, store, head = Store(path), open_store(features, {}, survey=False), load_named(head_path, named)
    size, resample = output.shape[1], store.provenance["resample"]
    grids = averaged_embeddings(head, torch.from_numpy(store.read(2 * start, 2 * stop)))
    rows = read_rows(manifest, 2 * start, 2 * stop).query("not mirror")

    def refine_view(i: int) -> np.ndarray:
        (view,) = read_views(root, rows[i : i + 1], size, resample)
        return refine(pixel_logits(head, grids[i], size), view, crf, head.sharpness)

    output.write(start, np.stack(in_threads(refine_view, range(len(rows)), threads)))
