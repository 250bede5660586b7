"""Make room for a store, or keep what an earlier run left of it."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.chunk_key_encodings import ChunkKeyEncodingParams
from zarr.core.sync import sync

from ...errors import SmoosegError
from ...running.files import is_url
from .array import COMPLETE, Store, backend

LOG = logging.getLogger(__name__)
CIRCUMSTANCES = "made_with"  # provenance that a finished store may differ in: versions, batch size
# a chunk is one file; with "/" it would lie in two folders of its own
FLAT: ChunkKeyEncodingParams = {"name": "default", "separator": "."}
# names of the axes, by which xarray and others know them; of stores, by type and number of axes
DIMENSIONS = {("float16", 3): ("views", "patches", "channels"), ("uint8", 3): ("images", "rows", "columns")}
# compressors; docs/results/cache.md has what each costs and saves, and what was tried and dropped
CODECS = {
    "raw": [],  # float16 as it is: features barely compress without loss, and raw chunks read fastest
    "bits5": [BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=2)],  # of values rounded before
    "zstd": [BloscCodec(cname="zstd", clevel=3)],  # for label maps, which shrink about twentyfold
}


def decisive_provenance(store: Store) -> dict:
    """A store's provenance without the circumstances, in which stores of the same features may differ."""
    return {key: value for key, value in store.provenance.items() if key != CIRCUMSTANCES}


def create_store(
    path: str | Path,
    shape: tuple[int, ...],
    dtype: str,
    chunk: int,
    provenance: dict,
    codec: str,
    replace: bool = True,
) -> Store:
    """Open a store for writing, keeping the whole chunks of an earlier run with the same provenance.

    Args:
        path: Folder or URL, ending in ".zarr".
        shape: (views, ...).
        dtype: NumPy dtype name.
        chunk: Views in a chunk.
        provenance: JSON-able facts on which the content depends.
        codec: Key of :data:`CODECS`.
        replace: Whether a finished store of another provenance there may be replaced.

    Raises:
        SmoosegError: If the name does not end in ".zarr", the disk has no room, or a finished store of
            another provenance must stay.
    """
    if not str(path).endswith(".zarr"):
        raise SmoosegError(f"{path}: refusing to write a store to a folder whose name does not end in .zarr")
    provenance, place = json.loads(json.dumps(provenance | {"codec": codec})), backend(path)
    kept = find_reusable(path, provenance, tuple(shape), chunk, replace)
    needed = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if kept is not None:
        require_space(path, needed * kept.checksums().count(None) // kept.chunks, 0)
        sync(place.delete(COMPLETE))
        return Store(path)
    require_space(path, needed, stored_bytes(path))
    sync(place.delete_dir(""))  # clear() stops half-way on S3
    zarr.create_array(
        place,
        shape=shape,
        dtype=dtype,
        chunks=(chunk, *shape[1:]),
        fill_value=0,
        compressors=[*CODECS[codec], Crc32cCodec()],
        attributes={"provenance": provenance},
        chunk_key_encoding=FLAT,
        dimension_names=DIMENSIONS.get((dtype, len(shape))),
    )
    return Store(path)


def find_reusable(
    path: str | Path, provenance: dict, shape: tuple[int, ...], chunk: int, replace: bool
) -> Store | None:
    """The store that lies at ``path`` if its chunks can be kept; foreign ones are removed from it."""
    try:
        store = Store(path)
    except SmoosegError:
        return None
    try:
        store.listed = store.listed_checksums()
    except SmoosegError:
        store.listed = None  # the list is damaged; the chunks still carry checksums of their own
    finished = store.listed is not None
    informal = {CIRCUMSTANCES} if finished else set()
    differing = [
        key
        for key in {**provenance, **store.provenance}
        if key not in informal and provenance.get(key) != store.provenance.get(key)
    ]
    if not differing and (store.shape, store.chunk) == (shape, chunk):
        if store.listed is not None:
            for number, found in enumerate(store.checksums()):
                if found is not None and found != store.listed[number]:
                    sync(store.backend.delete(store.key(number)))
        return store
    if finished and not replace:
        key = (differing or ["shape"])[0]
        raise SmoosegError(
            f"{path}: a finished store with {key} = {store.provenance.get(key)!r} lies here, and this run needs "
            f"{provenance.get(key)!r}; delete it, or set another extract.cache"
        )
    return None


def stored_bytes(path: str | Path) -> int:
    """Bytes below a folder; 0 for a URL."""
    return 0 if is_url(path) else sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())


def require_space(path: str | Path, needed: int, freed: int) -> None:
    """Log what a store needs and what the disk has, and raise if that is too little; a URL has no limit.

    Args:
        path: Where the store goes.
        needed: Bytes it will take, uncompressed.
        freed: Bytes that what it replaces takes now.
    """
    if is_url(path):
        return
    free = freed + shutil.disk_usage(next(p for p in Path(path).absolute().parents if p.exists())).free
    LOG.info("%s: %.2f GB to write, %.1f GB free", path, needed / 1e9, free / 1e9)
    if needed > free:
        raise SmoosegError(
            f"{path}: needs {needed / 1e9:.3g} GB and the disk has {free / 1e9:.3g} GB free; free some, or point "
            f"extract.cache to another disk"
        )
