"""A manifest: the views of a split, one row each, in a Parquet file that is written and read by parts."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..running.files import write_whole

ROWS = 10_000  # read, or made to text, at once
# of a part: bits are each image's own, stated by its file or not; void views are left out at last, but their bits count
UNSETTLED = pa.schema(
    [
        ("image", pa.string()),
        *((name, pa.int64()) for name in ("width", "height", "left", "top", "right", "bottom", "size")),
        ("mirror", pa.bool_()),
        ("sha256", pa.string()),
        ("bits", pa.int64()),
        ("raster", pa.string()),
        ("stated", pa.bool_()),
        ("void", pa.bool_()),
    ]
)


def write_manifest(path: Path, parts: Iterable[pd.DataFrame]) -> None:
    """Write consecutive rows to a manifest, which appears once all are there; memory does not grow with their number.

    Args:
        path: Parquet file.
        parts: At least one, all with the same columns of :data:`UNSETTLED`.
    """
    writer = None
    with write_whole(path) as aside, ExitStack() as opened:
        for part in parts:
            schema = pa.schema([UNSETTLED.field(name) for name in part])
            writer = writer or opened.enter_context(pq.ParquetWriter(aside, schema))
            writer.write_table(pa.Table.from_pandas(part, schema, preserve_index=False))


def part_of(things: list, part: int, parts: int) -> list:
    """The share of job number ``part`` of ``parts``, counted from 1: consecutive things, none shared."""
    return things[(part - 1) * len(things) // parts : part * len(things) // parts]


def manifest_parts(manifest: Path) -> Iterator[pd.DataFrame]:
    """Consecutive rows of a manifest's file, so that memory does not grow with their number."""
    return (part.to_pandas() for part in pq.ParquetFile(manifest).iter_batches(ROWS))


def read_rows(manifest: Path, start: int, stop: int) -> pd.DataFrame:
    """Rows ``start`` to ``stop`` of a manifest, under the numbers that they have in it; others are hardly read."""
    file, kept, first = pq.ParquetFile(manifest), [], 0
    for group in range(file.num_row_groups):
        following = first + file.metadata.row_group(group).num_rows
        if first < stop and start < following:
            rows = file.read_row_group(group).to_pandas()
            kept.append(rows.set_index(rows.index + first).loc[start : stop - 1])
        first = following
    return pd.concat(kept)


def manifest_sha256(manifest: pd.DataFrame) -> str:
    """Hash of a manifest's content, independent of the Parquet writer's version."""
    return parts_sha256(manifest.iloc[start : start + ROWS] for start in range(0, len(manifest), ROWS))


def listed_sha256(manifest: Path) -> str:
    """:func:`manifest_sha256` of a file's rows, read by parts."""
    return parts_sha256(manifest_parts(manifest))


def parts_sha256(parts: Iterable[pd.DataFrame]) -> str:
    """:func:`manifest_sha256` of consecutive rows."""
    content = hashlib.sha256()
    for number, part in enumerate(parts):
        content.update(part.to_csv(index=False, header=number == 0).encode())
    return content.hexdigest()
