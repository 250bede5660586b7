"""The cache: one row per view in a chunked Zarr array, with provenance and per-chunk checksums.

The only module that touches Zarr. A store lies in a folder or at a URL that fsspec knows (s3://…). It
is written in blocks of whole chunks, in any order, by one or more writers, and is complete once
``complete.json`` lies beside its chunks, written last. That file lists the checksum of every chunk, so
that a missing, damaged or foreign chunk is an error and never a silent fill value.
"""

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import zarr
from zarr.abc.store import Store as Backend
from zarr.abc.store import SuffixByteRequest
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore

from .errors import SmoosegError

COMPLETE = "complete.json"
CRC_BYTES = 4  # crc32c is the last codec, so a chunk ends with its own checksum
REQUESTS = 64  # checksums asked for at once; a remote store answers each in milliseconds
CODECS = {
    "raw": [],  # features barely compress, and raw chunks read at twice the rate
    "zstd": [BloscCodec(cname="zstd", clevel=3)],  # label maps shrink about twentyfold
}


def backend(path: str | Path) -> Backend:
    """Where a store's keys lie: a folder, or a URL whose credentials come from the environment."""
    if is_url(path):  # other jobs write there too, so listings must not be remembered
        return FsspecStore.from_url(str(path), storage_options={"use_listings_cache": False})
    return LocalStore(path)


def is_url(path: str | Path) -> bool:
    """Whether a path names something that is not on a file system."""
    return "://" in str(path)


class Store:
    """Rows of a Zarr array, one per view, read and written in blocks.

    Args:
        path: Folder or URL of the array.

    Raises:
        SmoosegError: If there is none, or its metadata is damaged. Completeness is not checked;
            :func:`open_store` does.
    """

    def __init__(self, path: str | Path):
        if not is_url(path) and not Path(path, "zarr.json").is_file():
            raise SmoosegError(f"{path}: there is no store; run the workflow again to make it")
        self.path, self.backend = path, backend(path)
        try:
            with zarr.config.set({"array.write_empty_chunks": True}):  # a chunk of zeros is data, not absence
                self.array = zarr.open_array(self.backend, mode="r+")
            self.provenance: dict = dict(self.array.attrs["provenance"])
        except Exception as error:  # zarr raises many kinds on damaged metadata
            raise SmoosegError(f"{path}: metadata does not parse ({error}); delete the store and run again") from error
        self.shape, self.chunk = self.array.shape, self.array.chunks[0]
        self.views = self.shape[0]
        self.chunks = -(-self.views // self.chunk)

    @property
    def row_bytes(self) -> int:
        """Bytes of one view in memory."""
        return int(np.prod(self.shape[1:])) * self.array.dtype.itemsize

    def blocks(self, views: int) -> list[tuple[int, int]]:
        """Consecutive (start, stop) ranges of ``views`` rows, which must hold whole chunks."""
        if views % self.chunk:
            raise ValueError(f"a block of {views} views does not hold whole chunks of {self.chunk}")
        return [(start, min(start + views, self.views)) for start in range(0, self.views, views)]

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop``; raises SmoosegError naming store and chunk if one is damaged."""
        try:
            return self.array[start:stop]
        except Exception as error:  # zarr and its codecs raise many kinds
            first, last = start // self.chunk, (stop - 1) // self.chunk
            for chunk in range(first, last + 1) if last > first else ():  # find the one
                self.read(chunk * self.chunk, min((chunk + 1) * self.chunk, self.views))
            raise SmoosegError(
                f"{self.path}: chunk {first} is damaged ({error}); delete the store and run again"
            ) from error

    def write(self, start: int, rows: np.ndarray) -> None:
        """Write rows from ``start``, a multiple of the chunk length; each chunk appears whole or not at all."""
        self.array[start : start + len(rows)] = rows

    def checksums(self, start: int = 0, stop: int | None = None) -> list[str | None]:
        """The crc32c that each chunk from ``start`` to ``stop`` carries, as hex; None where it is absent."""
        keys = [f"c/{chunk}{'/0' * (self.array.ndim - 1)}" for chunk in range(self.chunks)[start:stop]]
        return sync(tails(self.backend, keys))

    def written(self, start: int, stop: int) -> bool:
        """Whether every chunk of a block of rows is there."""
        return None not in self.checksums(start // self.chunk, -(-stop // self.chunk))

    def finish(self) -> dict:
        """Declare the store complete, and return what ``complete.json`` holds.

        Raises:
            SmoosegError: If a chunk is absent.
        """
        checksums = self.checksums()
        if None in checksums:
            raise SmoosegError(f"{self.path}: chunk {checksums.index(None)} was never written")
        if not is_url(self.path):
            for leftover in Path(self.path).rglob("*.partial"):  # of a writer that was killed
                leftover.unlink()
        complete = {"shape": self.shape, "provenance": self.provenance, "chunks": checksums}
        content = default_buffer_prototype().buffer.from_bytes(json.dumps(complete, indent=1).encode())
        sync(self.backend.set(COMPLETE, content))
        return complete

    def recorded(self) -> list[str] | None:
        """Checksums that ``complete.json`` lists, or None if the store is not complete.

        Raises:
            SmoosegError: If the file is damaged.
        """
        content = sync(self.backend.get(COMPLETE, default_buffer_prototype()))
        if content is None:
            return None
        try:
            return list(json.loads(content.to_bytes())["chunks"])
        except (ValueError, KeyError, TypeError) as error:
            raise SmoosegError(
                f"{self.path}/{COMPLETE} does not parse ({error}); delete the store and run again"
            ) from error

    def info(self) -> dict:
        """Shape, bytes in memory and in the store, completeness and provenance."""
        written = self.chunks - self.checksums().count(None)
        return {
            "path": str(self.path),
            "shape": self.shape,
            "dtype": str(self.array.dtype),
            "bytes_in_memory": self.views * self.row_bytes,
            "bytes_stored": self.array.nbytes_stored(),
            "chunks": f"{written} of {self.chunks} written, {self.chunk} views each",
            "complete": self.recorded() is not None,
            "provenance": self.provenance,
        }

    def problems(self) -> list[str]:
        """What is wrong with the set of chunks, without reading them; one string for each."""
        recorded, found = self.recorded(), self.checksums()
        if recorded is None:
            return ["it is incomplete; run the workflow again to finish it"]
        if len(recorded) != len(found):
            return [f"it has {len(found)} chunks where {COMPLETE} lists {len(recorded)}; delete it and run again"]
        return [
            f"chunk {chunk} is missing; delete the store and run again"
            if here is None
            else f"chunk {chunk} has checksum {here}, not {listed}: a foreign chunk; delete the store and run again"
            for chunk, (here, listed) in enumerate(zip(found, recorded, strict=True))
            if here != listed
        ]


async def tails(store: Backend, keys: list[str]) -> list[str | None]:
    """Last bytes of each key as hex, None where it is absent; a bounded number of requests at once."""
    limit = asyncio.Semaphore(REQUESTS)

    async def tail(key: str) -> str | None:
        async with limit:
            content = await store.get(key, default_buffer_prototype(), SuffixByteRequest(CRC_BYTES))
        return None if content is None else content.to_bytes().hex()

    return await asyncio.gather(*map(tail, keys))


def create_store(
    path: str | Path, shape: tuple[int, ...], dtype: str, chunk: int, provenance: dict, codec: str
) -> Store:
    """Open a store for writing, keeping the chunks of an interrupted run with the same provenance.

    Args:
        path: Folder or URL, ending in ".zarr"; a store of another provenance there is replaced.
        shape: (views, ...).
        dtype: NumPy dtype name.
        chunk: Views in a chunk.
        provenance: JSON-able facts on which the content depends.
        codec: Key of :data:`CODECS`.

    Raises:
        SmoosegError: If the name does not end in ".zarr" or the disk has no room.
    """
    if not str(path).endswith(".zarr"):
        raise SmoosegError(f"{path}: refusing to write a store to a folder whose name does not end in .zarr")
    provenance = json.loads(json.dumps(provenance | {"codec": codec}))
    place = backend(path)
    try:
        store = Store(path)
        same = (store.provenance, store.shape, store.chunk) == (provenance, tuple(shape), chunk)
    except SmoosegError:
        same = False
    if not same:
        sync(place.delete_dir(""))  # clear() stops half-way on S3
        require_space(path, int(np.prod(shape)) * np.dtype(dtype).itemsize if codec == "raw" else 0)
        zarr.create_array(
            place,
            shape=shape,
            dtype=dtype,
            chunks=(chunk, *shape[1:]),
            fill_value=0,
            filters=None,
            compressors=[*CODECS[codec], Crc32cCodec()],
            attributes={"provenance": provenance},
        )
    sync(place.delete(COMPLETE))
    return Store(path)


def require_space(path: str | Path, needed: int) -> None:
    """Raise if the disk that holds ``path`` has fewer free bytes than ``needed``; a URL has no limit."""
    if is_url(path):
        return
    free = shutil.disk_usage(next(folder for folder in Path(path).absolute().parents if folder.exists())).free
    if needed > free:
        raise SmoosegError(
            f"{path}: needs {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free; free some, or point "
            f"the cache elsewhere (extract.cache)"
        )


def open_store(path: str | Path, expect: dict) -> Store:
    """Open a complete store for reading.

    Args:
        path: Folder or URL of the store.
        expect: Provenance that the reader relies on: each key must be there with this value.

    Raises:
        SmoosegError: If the store is unfinished, lacks a chunk, holds a foreign one, or was made from
            something else than expected (both values are named).
    """
    store = Store(path)
    for key, value in expect.items():
        if store.provenance.get(key) != value:
            raise SmoosegError(
                f"{path}: made with {key} = {store.provenance.get(key)!r}, "
                f"but this experiment needs {value!r}; run the workflow again to rebuild it"
            )
    if problems := store.problems():
        raise SmoosegError(f"{path}: {problems[0]}")
    return store
