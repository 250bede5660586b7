"""What a head is trained from besides features, as its rule's files give it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ..features.store import open_store
from . import load_head


def read_inputs(files: Mapping[str, str], needs: dict) -> dict[str, Any]:
    """Arguments of :meth:`smooseg.heads.Head.fit` by name.

    Args:
        files: By name: ``weights``, a backbone's safetensors file; ``base``, a fitted head's; ``labels`` and
            ``proposals``, the mark of a store of the same views; ``pictures``, the views' manifest.
        needs: Provenance of the features.

    Raises:
        SmoosegError: If a store is of other views.
    """
    same_views = {key: needs[key] for key in ("manifest_sha256", "size")}
    found: dict[str, Any] = {name: Path(files[name]) for name in files.keys() & {"weights"}}
    found |= {name: load_head(Path(files[name]))[0] for name in files.keys() & {"base"}}
    found |= {name: picture_numbers(Path(files[name])) for name in files.keys() & {"pictures"}}
    stores = files.keys() & {"labels", "proposals"}
    return found | {name: open_store(Path(files[name]).parent, same_views) for name in stores}


def picture_numbers(manifest: Path) -> np.ndarray:
    """Number of the picture that each view is of, ascending: int64 (views,). A raster's windows are pictures each.

    Args:
        manifest: Parquet file of the views.
    """
    columns = [name for name in ("image", "raster") if name in pq.read_schema(manifest).names]
    rows = pd.read_parquet(manifest, columns=columns)
    new = rows["image"] != rows["image"].shift()
    if "raster" in rows:
        new |= rows["raster"] != ""
    return new.cumsum().to_numpy() - 1
