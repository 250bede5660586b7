"""Tables beside the masks of a folder: what share of each picture is whose, and what ids are called."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ...images.datasets import VOID
from .legend import Legend
from .masks import write_csv

SHARES, LEGEND, AREAS = "shares.csv", "legend.csv", "areas.csv"
THOUSAND = 1000


def write_tables(done: list[tuple[Path, Path, dict]], legend: Legend, out: Path) -> pd.DataFrame:
    """Write shares, areas and legend of finished masks, and return the shares.

    Args:
        done: Each picture, its mask in the folder, and the record of that.
        legend: Of the ids.
        out: Folder of the masks.
    """
    names, rows = legend.names, list[list]()
    if any(record["pixels"][str(VOID)] for _, _, record in done):
        names = names | {VOID: "void"}
    for image, mask, record in done:
        shares = percents([record["pixels"][str(i)] for i in names])
        place = [str(image), mask.as_posix()]
        rows.append([*place, record["width"], record["height"], *shares])
    columns = with_classes(["image", "mask", "width", "height"], names.values())
    write_csv([columns, *rows], out / SHARES)
    write_areas(done, names, out)
    colours = [[i, name, "#{:02X}{:02X}{:02X}".format(*legend.palette[i])] for i, name in names.items()]
    write_csv([["id", "name", "colour"], *colours], out / LEGEND)
    return pd.DataFrame(rows, columns=columns)


def write_areas(done: list[tuple[Path, Path, dict]], names: dict[int, str], out: Path) -> None:
    """Write the square metres of each id in every raster whose coordinates are lengths; no file without any."""
    rows = [
        [str(image), mask.as_posix(), *(round(area * record["pixels"][str(i)], 3) for i in names)]
        for image, mask, record in done
        if (area := record.get("square_metres"))
    ]
    if rows:
        write_csv([with_classes(["image", "mask"], names.values()), *rows], out / AREAS)
    else:
        (out / AREAS).unlink(missing_ok=True)


def with_classes(columns: list[str], names: Iterable[str]) -> list[str]:
    """Columns of a table and then those of classes, in the legend's order.

    No two are called alike, or a reader would take one for the other: the column of a class that has the name of an
    earlier column is called "class NAME".
    """
    found = list(columns)
    for name in names:
        while name in found:
            name = f"class {name}"
        found.append(name)
    return found


def percents(counts: list[int]) -> list[float]:
    """Shares in percent, in thousandths that sum to 100: what rounding down leaves goes to the largest remainders."""
    exact = np.array(counts, np.int64) * (100 * THOUSAND)
    whole, rest = np.divmod(exact, sum(counts))
    whole[np.argsort(-rest, kind="stable")[: 100 * THOUSAND - whole.sum()]] += 1
    return (whole / THOUSAND).tolist()
