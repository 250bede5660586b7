"""The cache: one row per view in a chunked Zarr array, with provenance and per-chunk checksums.

The only module that touches Zarr. A store is written in blocks of whole chunks, in any order, by
one or more writers; it is complete once ``complete.json`` lies beside its chunks, written last. That
file lists the checksum of every chunk, so that a missing, damaged or foreign chunk is an error and
never a silent fill value.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import zarr
from zarr.abc.store import SuffixByteRequest
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from .errors import SmoosegError

COMPLETE = "complete.json"
CRC_BYTES = 4  # crc32c is the last codec, so a chunk file ends with its own checksum
CODECS = {
    "raw": [],  # float16 features barely compress (5 to 12 %), and raw chunks read at twice the rate
    "zstd": [BloscCodec(cname="zstd", clevel=3)],  # label maps shrink about twentyfold
}


def write_text(path: Path, text: str) -> None:
    """Write a file so that it appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class Store:
    """Rows of a Zarr array, one per view, read and written in blocks.

    Args:
        path: Folder of the array.
        array: The open Zarr array, (views, ...).
    """

    def __init__(self, path: Path, array: zarr.Array):
        self.path, self.array = path, array
        self.views, self.chunk = array.shape[0], array.chunks[0]
        self.chunks = -(-self.views // self.chunk)

    @classmethod
    def attach(cls, path: Path) -> "Store":
        """Open a store whatever its state, without checking that it is complete.

        Raises:
            SmoosegError: If its metadata is damaged.
        """
        try:
            with zarr.config.set({"array.write_empty_chunks": True}):  # a chunk of zeros is data, not absence
                store = cls(path, zarr.open_array(str(path), mode="r+"))
            if not isinstance(store.provenance, dict):
                raise TypeError("no provenance")
            return store
        except Exception as error:  # zarr raises many kinds on damaged metadata
            raise SmoosegError(f"{path}: metadata does not parse ({error}); delete the store and run again") from error

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def row_bytes(self) -> int:
        """Bytes of one view in memory."""
        return int(np.prod(self.shape[1:])) * self.array.dtype.itemsize

    @property
    def provenance(self) -> dict:
        return self.array.attrs["provenance"]

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
            for chunk in range(first, last + 1) if last > first else ():
                self.read(chunk * self.chunk, min((chunk + 1) * self.chunk, self.views))
            raise SmoosegError(
                f"{self.path}: chunk {first} is damaged ({error}); delete the store and run again"
            ) from error

    def write(self, start: int, rows: np.ndarray) -> None:
        """Write rows from ``start``, a multiple of the chunk length; each chunk appears whole or not at all."""
        self.array[start : start + len(rows)] = rows

    def written(self, start: int, stop: int) -> bool:
        """Whether every chunk of a block is on disk."""
        return all(self.chunk_checksum(c) is not None for c in range(start // self.chunk, -(-stop // self.chunk)))

    def chunk_checksum(self, chunk: int) -> str | None:
        """The crc32c that chunk number ``chunk`` carries, as hex, or None if the chunk is absent."""
        key = f"{self.array.store_path.path}/c/{chunk}{'/0' * (self.array.ndim - 1)}".lstrip("/")
        request = self.array.store.get(key, default_buffer_prototype(), SuffixByteRequest(CRC_BYTES))
        tail = sync(request)
        return None if tail is None else tail.to_bytes().hex()

    def checksums(self) -> list[str | None]:
        """Checksums of all chunks in order."""
        return [self.chunk_checksum(chunk) for chunk in range(self.chunks)]

    def finish(self) -> None:
        """Declare the store complete.

        Raises:
            SmoosegError: If a chunk is absent.
        """
        checksums = self.checksums()
        if None in checksums:
            raise SmoosegError(f"{self.path}: chunk {checksums.index(None)} was never written")
        complete = {"shape": self.shape, "provenance": self.provenance, "chunks": checksums}
        write_text(self.path / COMPLETE, json.dumps(complete, indent=1))


def create_store(path: Path, shape: tuple[int, ...], dtype: str, chunk: int, provenance: dict, codec: str) -> Store:
    """Open a store for writing, keeping the chunks of an interrupted run with the same provenance.

    Args:
        path: Folder of the store.
        shape: (views, ...).
        dtype: NumPy dtype name.
        chunk: Views in a chunk.
        provenance: JSON-able facts on which the content depends.
        codec: Key of :data:`CODECS`.
    """
    path = Path(path)
    if (path / "zarr.json").exists():
        try:
            store = Store.attach(path)
            same = store.provenance == provenance and store.shape == shape and store.chunk == chunk
        except SmoosegError:
            same = False
        (path / COMPLETE).unlink(missing_ok=True)
        if same:
            return store
    if path.exists():
        if not path.name.endswith(".zarr"):
            raise SmoosegError(f"{path}: refusing to replace a folder that is not a .zarr store")
        shutil.rmtree(path)
    zarr.create_array(
        str(path),
        shape=shape,
        dtype=dtype,
        chunks=(chunk, *shape[1:]),
        fill_value=0,
        filters=None,
        compressors=[*CODECS[codec], Crc32cCodec()],
        attributes={"provenance": provenance},
    )
    return Store.attach(path)


def open_store(path: Path, expect: dict) -> Store:
    """Open a complete store for reading.

    Args:
        path: Folder of the store.
        expect: Provenance that the reader relies on: each key must be there with this value.

    Raises:
        SmoosegError: If the store is unfinished, lacks a chunk, holds a foreign one, or was made from
            something else than expected (both values are named).
    """
    path = Path(path)
    try:
        complete = json.loads((path / COMPLETE).read_text())
        recorded = complete["chunks"]
    except FileNotFoundError as error:
        raise SmoosegError(f"{path}: incomplete or missing store; run the workflow again to finish it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SmoosegError(f"{path / COMPLETE}: does not parse ({error}); delete the store and run again") from error
    store = Store.attach(path)
    for key, value in expect.items():
        if store.provenance.get(key) != value:
            raise SmoosegError(
                f"{path}: made with {key} = {store.provenance.get(key)!r}, "
                f"but this experiment needs {value!r}; run the workflow again to rebuild it"
            )
    found = store.checksums()
    if len(found) != len(recorded):
        raise SmoosegError(
            f"{path}: {len(found)} chunks where complete.json lists {len(recorded)}; delete the store and run again"
        )
    for chunk, (here, listed) in enumerate(zip(found, recorded, strict=True)):
        if here != listed:
            state = "is missing" if here is None else f"has checksum {here}, not {listed}: a foreign chunk"
            raise SmoosegError(f"{path}: chunk {chunk} {state}; delete the store and run again")
    return store
