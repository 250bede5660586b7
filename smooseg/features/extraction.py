"""Fill a feature store: decode, forward and write overlap, so that the backbone sets the pace.

Three steps, so that several jobs can share the work: plan the store, extract parts of it, finish it.
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import distance_transform_edt

from ..errors import SmoosegError
from ..images.imaging import read_views_and_void
from ..images.manifests import part_of, read_rows
from ..running.device import default_device, fetch_ahead, ready_for
from ..running.progress import progress
from .backbones import Backbone
from .store import Store

LOG = logging.getLogger(__name__)
AHEAD = 2  # blocks decoded ahead of the backbone, for each worker


def extract_features(
    manifest: Path,
    root: Path,
    weights: Path,
    store: Store,
    *,
    part: int,
    parts: int,
    batch: int,
    workers: int,
) -> None:
    """Extract one part of a planned store, resuming what an earlier run left.

    Blocks are the same however many parts there are, so the store is too, byte for byte.

    Args:
        manifest: Parquet file of the views, of which the part's are read.
        root: The data set's folder.
        weights: Safetensors file of the backbone.
        store: As planned; its provenance says what to extract.
        part, parts: Number of this job, from 1, and how many there are.
        batch: Views in a forward pass, a multiple of the store's chunk.
        workers: Decoding threads.
    """
    needs, device = store.provenance, default_device(part - 1)
    mine = part_of(store.blocks(batch), part, parts)
    blocks = [block for block in mine if not store.is_written(*block)]
    total, left = (sum(stop - start for start, stop in some) for some in (mine, blocks))
    LOG.info("%s: part %d of %d, %d views on %s, %d done before", store.path, part, parts, total, device, total - left)
    if not blocks:
        return
    rows = read_rows(manifest, blocks[0][0], blocks[-1][1])
    model = Backbone.of(needs).load(weights)
    model.prepare(needs["size"], device)
    with (
        ThreadPoolExecutor(1) as writer,
        progress(total=total, initial=total - left, unit="view", desc="extract") as bar,
    ):
        writing: Future | None = None
        for (start, stop), (pixels, void) in decode_blocks(
            rows, root, blocks, needs["size"], needs["resample"], workers, device
        ):
            features = fetch_ahead(model(pixels))
            if writing is not None:
                writing.result()
            writing = writer.submit(write_block, store, start, features, void, rows)
            bar.update(stop - start)
        if writing is not None:
            writing.result()


def decode_blocks(
    manifest: pd.DataFrame,
    root: Path,
    blocks: list[tuple[int, int]],
    size: int,
    resample: str,
    workers: int,
    device: torch.device,
) -> Iterator[tuple[tuple[int, int], tuple[torch.Tensor, np.ndarray | None]]]:
    """Yield (block, (uint8 pixels, void)) in order, decoding a bounded number of blocks ahead in threads."""

    def decode_block(block: tuple[int, int]) -> tuple[torch.Tensor, np.ndarray | None]:
        pixels, void = read_views_and_void(root, manifest.loc[block[0] : block[1] - 1], size, resample)
        return ready_for(device, torch.from_numpy(pixels)), void

    with ThreadPoolExecutor(workers) as pool:
        remaining = iter(blocks)
        ahead = [(block, pool.submit(decode_block, block)) for block in islice(remaining, AHEAD * workers)]
        while ahead:
            block, pixels = ahead.pop(0)
            yield block, pixels.result()
            ahead += [(following, pool.submit(decode_block, following)) for following in islice(remaining, 1)]


def cover_void(features: np.ndarray, void: np.ndarray, patch: int) -> None:
    """Give each patch that is mostly void the feature of the nearest patch of its view that is not, in place.

    So no head sees a void patch, and none becomes a cluster. A view without any other patch stays as it is.

    Args:
        features: (views, patches, channels).
        void: bool (views, size, size).
        patch: Pixels.
    """
    side = void.shape[1] // patch
    grids = void.reshape(-1, side, patch, side, patch).mean((2, 4)) > 0.5
    for view, grid in zip(features, grids, strict=True):
        if grid.any() and not grid.all():
            row, column = distance_transform_edt(grid, return_distances=False, return_indices=True)
            view[:] = view[(row * side + column).ravel()]


def write_block(
    store: Store, start: int, computed: Callable[[], torch.Tensor], void: np.ndarray | None, manifest: pd.DataFrame
) -> None:
    """Write a block of features, once the device has them; the next block is computed meanwhile.

    Raises:
        SmoosegError: If the features have another shape than planned, or a view's are not finite, naming its image.
    """
    features = computed().numpy()
    if void is not None:
        cover_void(features[:, store.provenance["prefix"] :], void, store.provenance["patch"])
    if features.shape[1:] != store.shape[1:]:
        planned, found = ("{} patches of {} channels".format(*shape[1:]) for shape in (store.shape, features.shape))
        raise SmoosegError(f"{store.provenance['model']}: {planned} were planned for this view size, {found} came")
    finite = np.isfinite(features).all(axis=(1, 2))
    if not finite.all():
        image = manifest["image"].loc[start + int(finite.argmin())]
        raise SmoosegError(f"{image}: the backbone gave NaN or infinite features; try extract.precision float32")
    store.write(start, features)
