"""One row per view in a chunked Zarr array, read and written with a checksum for every chunk.

A store lies in a folder or at a URL that fsspec knows (s3://…). It is written in blocks of whole
chunks, in any order, by one or more writers, and is complete once ``complete.json`` lies beside its
chunks, written last. That file lists the checksum of every chunk, so that a missing, damaged or foreign
chunk is an error and never a silent fill value.
"""

import json
from pathlib import Path

import numpy as np
import zarr
from numcodecs.bitround import BitRound
from zarr.abc.store import Store as Backend
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore

from ...errors import SmoosegError
from ...running.files import is_url
from .chunkbytes import checksum, file_tail, is_finite, read_file, tails

COMPLETE = "complete.json"
DTYPES = "float16", "uint8"  # of features, and of ids
ROUNDING = {"bits5": BitRound(keepbits=5)}  # of codecs that lose bits; not a filter of Zarr, whose format names none
REMEDY = "run again with --forcerun plan_features, which recomputes what is missing (label maps: delete the folder)"
DAMAGE = (ValueError, KeyError, TypeError, RuntimeError, FileNotFoundError)  # of content; not of disks or networks


def backend(path: str | Path) -> Backend:
    """Where a store's keys lie: a folder, or a URL whose credentials come from the environment."""
    if is_url(path):  # other jobs write there too, so listings must not be remembered
        return FsspecStore.from_url(str(path), storage_options={"use_listings_cache": False})
    return LocalStore(path)


class Store:
    """Rows of a Zarr array, one per view, read and written in blocks.

    Args:
        path: Folder or URL of the array.

    Raises:
        SmoosegError: If there is none, its metadata is damaged, or it holds another type. Completeness is not checked;
            :func:`open_store` does.

    ``listed`` are the checksums that chunks must have when read: None while the store is being written.
    """

    def __init__(self, path: str | Path):
        if not is_url(path) and not Path(path, "zarr.json").is_file():
            raise SmoosegError(f"{path}: there is no store; {REMEDY}")
        self.path, self.backend = path, backend(path)
        self.listed: list[str] | None = None
        try:
            with zarr.config.set({"array.write_empty_chunks": True}):  # a chunk of zeros is data, not absence
                self.array = zarr.open_array(self.backend, mode="r+")
            provenance = self.array.attrs["provenance"]
            if not isinstance(provenance, dict):
                raise ValueError(f"provenance is {provenance!r}")
            self.provenance: dict = provenance
        except DAMAGE as error:
            raise SmoosegError(f"{path}: metadata does not parse ({error}); {REMEDY}") from error
        if self.array.dtype.name not in DTYPES:
            raise SmoosegError(
                f"{path}: holds {self.array.dtype}, where smooseg stores {' or '.join(DTYPES)}; {REMEDY}"
            )
        self.shape, self.dtype, self.chunk = self.array.shape, self.array.dtype, self.array.chunks[0]
        self.views = self.shape[0]
        self.chunks = -(-self.views // self.chunk)
        self.plain = not is_url(path) and self.provenance.get("codec") == "raw"  # a chunk's file is its rows and a crc

    def length(self, chunk: int) -> int:
        """Views in a chunk; the last may hold fewer than the others."""
        return min(self.chunk, self.views - chunk * self.chunk)

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
        """Rows ``start`` to ``stop``.

        Raises:
            SmoosegError: Naming store and chunk, if one is damaged, is not the one that was listed, or holds NaN.
        """
        first, end = start // self.chunk, -(-stop // self.chunk)
        if self.listed is not None:
            for chunk, found in enumerate(self.checksums(first, end), first):
                self.require_listed(chunk, found)
        try:
            rows = np.asarray(self.array[start:stop])
        except DAMAGE as error:
            for chunk in range(first, end) if end - first > 1 else ():  # find the one
                self.read(chunk * self.chunk, chunk * self.chunk + self.length(chunk))
            raise SmoosegError(f"{self.path}: chunk {first} is damaged ({error}); {REMEDY}") from error
        self.require_finite(first, rows)
        return rows

    def require_finite(self, chunk: int, rows: np.ndarray) -> None:
        """Raise if rows that begin in a chunk hold a value that no backbone's feature may have."""
        if not is_finite(rows):
            raise SmoosegError(f"{self.path}: NaN or infinite features in or after chunk {chunk}; {REMEDY}")

    def scatter(self, chunk: int, space: np.ndarray, positions: np.ndarray) -> None:
        """Read a chunk's views straight to their places: view i of it to ``space[positions[i]]``.

        Args:
            chunk: Number of the chunk.
            space: (views, ...) in the store's dtype, C-contiguous.
            positions: One place for each view of the chunk.

        Raises:
            SmoosegError: As :meth:`read`.
        """
        if not self.plain:
            space[positions] = self.read(chunk * self.chunk, chunk * self.chunk + self.length(chunk))
            return
        filling = np.empty((self.chunk - len(positions)) * self.row_bytes, np.uint8)  # of a last chunk
        rows = [space[position].reshape(-1).view(np.uint8) for position in positions] + [filling]
        found = read_file(Path(self.path, self.key(chunk)), rows)
        self.require_listed(chunk, found)
        if found != checksum(rows):
            raise SmoosegError(f"{self.path}: chunk {chunk} is damaged (stored and computed crc32c differ); {REMEDY}")
        for position in positions:
            self.require_finite(chunk, space[position])

    def require_listed(self, chunk: int, found: str | None) -> None:
        """Raise if a chunk carries another checksum than the one that is listed for it."""
        if self.listed is not None and found != self.listed[chunk]:
            raise SmoosegError(f"{self.path}: {mismatch(chunk, found, self.listed[chunk])}; {REMEDY}")

    def write(self, start: int, rows: np.ndarray) -> None:
        """Write rows from ``start``, a multiple of the chunk length; each chunk appears whole or not at all."""
        if rounding := ROUNDING.get(self.provenance["codec"]):
            rows = rounding.decode(rounding.encode(np.ascontiguousarray(rows, self.array.dtype)))
        self.array[start : start + len(rows)] = rows

    def checksums(self, start: int = 0, stop: int | None = None) -> list[str | None]:
        """The crc32c that each chunk from ``start`` to ``stop`` carries, as hex; None where it is absent."""
        keys = [self.key(chunk) for chunk in range(self.chunks)[start:stop]]
        return sync(tails(self.backend, keys)) if is_url(self.path) else [file_tail(self.path, key) for key in keys]

    def key(self, chunk: int) -> str:
        """Where a chunk lies below the store's path."""
        return self.array.metadata.encode_chunk_key((chunk, *(0,) * (self.array.ndim - 1)))

    def is_written(self, start: int, stop: int) -> bool:
        """Whether every chunk of a block of rows is there and whole; they are read to find out."""
        if None in self.checksums(start // self.chunk, -(-stop // self.chunk)):
            return False
        try:
            self.read(start, stop)
        except SmoosegError:
            return False
        return True

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

    def listed_checksums(self) -> list[str] | None:
        """Checksums that ``complete.json`` lists, or None if the store is not complete.

        Raises:
            SmoosegError: If the file is damaged.
        """
        content = sync(self.backend.get(COMPLETE, default_buffer_prototype()))
        if content is None:
            return None
        try:
            return list(json.loads(content.to_bytes())["chunks"])
        except DAMAGE as error:
            raise SmoosegError(f"{self.path}/{COMPLETE} does not parse ({error}); {REMEDY}") from error

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
            "complete": self.listed_checksums() is not None,
            "provenance": self.provenance,
        }

    def problems(self) -> list[str]:
        """What is wrong with the set of chunks, without reading them; one string for each."""
        if self.listed is None:
            return ["it is incomplete; run the workflow again to finish it"]
        found = self.checksums()
        if len(self.listed) != len(found):
            return [f"it has {len(found)} chunks where {COMPLETE} lists {len(self.listed)}"]
        return [mismatch(i, here, self.listed[i]) for i, here in enumerate(found) if here != self.listed[i]]


def mismatch(chunk: int, found: str | None, listed: str) -> str:
    """What is wrong with a chunk whose checksum is not the listed one."""
    if found is None:
        return f"chunk {chunk} is missing"
    return f"chunk {chunk} has checksum {found}, not {listed}: damaged or foreign"


def open_store(path: str | Path, expect: dict, survey: bool = True) -> Store:
    """Open a complete store for reading.

    Args:
        path: Folder or URL of the store.
        expect: Provenance that the reader relies on: each key must be there with this value.
        survey: Whether to look at every chunk's checksum now, and not only at those that are read.

    Raises:
        SmoosegError: If the store is unfinished, lacks a chunk, holds a foreign one, or was made from
            something else than expected (both values are named).
    """
    store = Store(path)
    store.listed = store.listed_checksums()
    for key, value in expect.items():
        if store.provenance.get(key) != value:
            raise SmoosegError(
                f"{path}: made with {key} = {store.provenance.get(key)!r}, "
                f"but this experiment needs {value!r}; run the workflow again to rebuild it"
            )
    if survey and (problems := store.problems()):
        raise SmoosegError(f"{path}: {problems[0]}; {REMEDY}")
    return store
