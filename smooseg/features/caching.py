"""The whole stage of extraction in one process: plan a store, fill it, finish it; the workflow's jobs are its parts."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..errors import SmoosegError
from ..running.codes import code_of_features
from .extraction import extract_features
from .planning import find_finished, plan_features
from .store import Store, open_store

PLAN = "plan.json"  # beside the chunks of a store that the workflow planned


@dataclass(frozen=True)
class Source:
    """What features are extracted from.

    Args:
        manifest: Parquet file of the views.
        root: The data set's folder.
        weights: Safetensors file of the backbone.
        needs: What the features must be made from, see :func:`smooseg.features.provenance.feature_needs`.
    """

    manifest: Path
    root: Path
    weights: Path
    needs: dict


def cache_features(
    source: Source, path: Path, *, codec: str, batch: int, workers: int, any_codec: bool = False
) -> Store:
    """The features of all views; a finished store is left as it is, and one that was stopped is gone on with.

    Args:
        source: What they are made from.
        path: Folder of the store.
        codec, batch, workers: See :func:`smooseg.features.planning.plan_features` and
            :func:`smooseg.features.extraction.extract_features`.
        any_codec: Whether a finished store of another codec is left as it is, too.

    Raises:
        SmoosegError: If the workflow planned a store of something else there, or images are bad (all are named).
    """
    code = code_of_features()
    if finished := find_finished(path, source.needs | {"code": code} | ({} if any_codec else {"codec": codec})):
        return finished
    if (path / PLAN).is_file() and find_finished(path, {}) is not None:
        raise SmoosegError(
            f"{path}: the workflow's features of other images, settings or code lie here; give another out, or run the "
            f"workflow again"
        )
    views = len(pd.read_parquet(source.manifest, columns=["mirror"]))
    store = plan_features(views, path, source.needs, code=code, codec=codec, batch=batch, replace=True)
    extract_features(source.manifest, source.root, source.weights, store, part=1, parts=1, batch=batch, workers=workers)
    store.finish()
    return open_store(path, source.needs)
