"""Fill a feature store: decode, forward and write overlap, so that the backbone sets the pace."""

import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import timm
import torch

from . import __version__
from .backbones import Backbone
from .device import default_device
from .errors import SmoosegError
from .imaging import read_views
from .progress import progress
from .store import Store, create_store
from .views import round_to_patch

CHUNK = 16  # views in a chunk: 3 MB at ViT-S/14, large enough to read at memory speed
AHEAD = 2  # blocks decoded ahead of the backbone, for each worker


def extract_features(
    manifest: pd.DataFrame, root: Path, weights: Path, path: Path, *, needs: dict, code: str, batch: int, workers: int
) -> Store:
    """Extract the features of every view of a manifest into a store, resuming what an earlier run left.

    Args:
        manifest: The views.
        root: The data set's folder.
        weights: Safetensors file of the backbone.
        path: Folder of the store.
        needs: What :func:`smooseg.provenance.feature_needs` returned for this store.
        code: Hash of the code that decides the features.
        batch: Views in a forward pass, a multiple of :data:`CHUNK`.
        workers: Decoding threads.
    """
    device = default_device()
    model = Backbone(needs["model"], needs["block"], needs["norm"], needs["precision"]).load(weights)
    size = round_to_patch(int(manifest["size"].iloc[0]), model.patch)
    model.prepare(size, device)
    shape = (len(manifest), (size // model.patch) ** 2, model.channels)
    versions = {"smooseg": __version__, "torch": torch.__version__, "timm": timm.__version__}
    provenance = needs | {"patch": model.patch, "size": size, "code": code, "versions": versions}
    store = create_store(path, shape, "float16", CHUNK, provenance, codec="raw")
    blocks = [block for block in store.blocks(batch) if not store.written(*block)]
    done = len(manifest) - sum(stop - start for start, stop in blocks)
    logging.info("%s: %d views of shape %s on %s, %d done before", path, len(manifest), shape[1:], device, done)
    with (
        ThreadPoolExecutor(1) as writer,
        progress(total=len(manifest), initial=done, unit="view", desc="extract") as bar,
    ):
        writing: Future | None = None
        for (start, stop), pixels in decoded_blocks(manifest, root, blocks, size, needs["resample"], workers):
            features = model(torch.from_numpy(pixels)).cpu().numpy()
            if writing is not None:
                writing.result()
            writing = writer.submit(write_block, store, start, features, manifest)
            bar.update(stop - start)
        if writing is not None:
            writing.result()
    store.finish()
    return store


def decoded_blocks(
    manifest: pd.DataFrame, root: Path, blocks: list[tuple[int, int]], size: int, resample: str, workers: int
) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Yield (block, uint8 pixels) in order, decoding a bounded number of blocks ahead in threads."""
    with ThreadPoolExecutor(workers) as pool:

        def decode(block: tuple[int, int]) -> Future:
            return pool.submit(read_views, root, manifest.iloc[slice(*block)], size, resample)

        remaining = iter(blocks)
        ahead = [(block, decode(block)) for block in islice(remaining, AHEAD * workers)]
        while ahead:
            block, pixels = ahead.pop(0)
            yield block, pixels.result()
            ahead += [(following, decode(following)) for following in islice(remaining, 1)]


def write_block(store: Store, start: int, features: np.ndarray, manifest: pd.DataFrame) -> None:
    """Write a block of features.

    Raises:
        SmoosegError: If a view's features are not finite, naming its image.
    """
    finite = np.isfinite(features).all(axis=(1, 2))
    if not finite.all():
        image = manifest["image"].iloc[start + int(finite.argmin())]
        raise SmoosegError(f"{image}: the backbone gave NaN or infinite features; try extract.precision float32")
    store.write(start, features)
