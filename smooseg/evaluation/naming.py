"""What somebody calls a head's clusters: ``names.csv``, from the gallery or written by hand."""

import csv
from pathlib import Path

from ..errors import SmoosegError
from ..images.datasets.labelfiles import VOID, VOID_NAME

COLUMNS = ("cluster", "name")
HEAD = 12  # digits of a head's sha256 by which a file says whose clusters it names


def read_names(path: Path, clusters: int, sha256: str) -> list[str]:
    """The name of each cluster.

    Args:
        path: CSV with the columns cluster and name, and perhaps head: digits of its sha256.
        clusters: Number of the head's clusters.
        sha256: Of the head's file.

    Raises:
        SmoosegError: If the file is none, names clusters of another head, or not each of them once.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        found = {int(row["cluster"]): row["name"].strip() for row in rows}
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise SmoosegError(f"{path}: is no table with the columns {' and '.join(COLUMNS)} ({error})") from error
    foreign = {row["head"] for row in rows if row.get("head")} - {sha256[:HEAD]}
    if foreign:
        raise SmoosegError(f"{path}: names clusters of another head ({min(foreign)}, this is {sha256[:HEAD]})")
    if sorted(found) != list(range(clusters)) or len(rows) != clusters:
        raise SmoosegError(f"{path}: has {len(rows)} rows, and must have one for each cluster from 0 to {clusters - 1}")
    if empty := [str(i) for i, name in sorted(found.items()) if not name]:
        raise SmoosegError(f"{path}: clusters without a name: {', '.join(empty)}")
    return [found[i] for i in range(clusters)]


def named_groups(names: list[str]) -> tuple[list[str], list[int]]:
    """Classes that names of clusters make, and the number of each cluster's: those of one name are one class.

    Returns:
        Names in the order of the clusters, without void; for each cluster its class, :data:`VOID` for void.
    """
    classes = [name for name in dict.fromkeys(names) if name != VOID_NAME]
    ids = {name: i for i, name in enumerate(classes)} | {VOID_NAME: VOID}
    return classes, [ids[name] for name in names]
