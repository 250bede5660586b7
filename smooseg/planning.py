"""What a feature store will be, before a backbone is loaded: shape, size on disk, provenance."""

import logging
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from .store import Store, create_store
from .views import round_to_patch

CHUNK = 16  # views in a chunk: 3 MB at ViT-S/14, large enough to read at memory speed


def plan_features(manifest: pd.DataFrame, facts: dict, path: str | Path, needs: dict, code: str, codec: str) -> Store:
    """Create the store that a manifest's features go to, keeping what an interrupted run with the same needs left.

    Args:
        manifest: The views.
        facts: What :func:`smooseg.weights.fetch_weights` returned.
        path: Folder or URL of the store.
        needs: What :func:`smooseg.provenance.feature_needs` returned for it.
        code: Hash of the code that decides the features.
        codec: Key of :data:`smooseg.store.CODECS`.

    Raises:
        SmoosegError: If the disk has no room for it.
    """
    size = round_to_patch(int(manifest["size"].iloc[0]), facts["patch"])
    shape = (len(manifest), (size // facts["patch"]) ** 2, facts["channels"])
    versions = {package: version(package) for package in ("smooseg", "torch", "timm")}
    provenance = needs | {"patch": facts["patch"], "size": size, "code": code, "versions": versions}
    logging.info(
        "%s: %d views of %d patches and %d channels, %.2f GB in float16", path, *shape, np.prod(shape) * 2 / 1e9
    )
    return create_store(path, shape, "float16", CHUNK, provenance, codec)
