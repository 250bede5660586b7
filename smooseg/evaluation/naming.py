"""What somebody calls a head's clusters: ``names.csv``, from the gallery or written by hand."""

from pathlib import Path

from ..errors import SmoosegError
from ..images.datasets.labelfiles import VOID, VOID_NAME, plain_name
from ..running.spreadsheets import read_table, whole_number

COLUMNS = ("cluster", "name")
HEAD = 12  # digits of a head's sha256 by which a file says whose clusters it names


def read_names(path: Path, clusters: int, sha256: str, finest: int | None = None) -> list[str]:
    """The name of each cluster, or of each finest one; those called void in any case are called :data:`VOID_NAME`.

    Args:
        path: CSV with the columns cluster and name, and perhaps head: digits of its sha256; see
            :func:`smooseg.running.spreadsheets.read_table`.
        clusters: Number of the head's clusters.
        sha256: Of the head's file.
        finest: Number of its finest clusters, where it has a tree of them: so many rows do as well.

    Returns:
        As many names as the file has rows.

    Raises:
        SmoosegError: If the file is none, names clusters of another head, not each of them once, or all of them void.
    """
    rows = read_table(path, COLUMNS)
    found = dict[int, str]()
    for line, row in rows:
        try:
            found[whole_number(row["cluster"])] = plain_name(row["name"])
        except ValueError as error:
            raise SmoosegError(f"{path}: line {line}: the cluster {error}") from None
    foreign = {row["head"] for _, row in rows if row.get("head")} - {sha256[:HEAD]}
    if foreign:
        raise SmoosegError(f"{path}: names clusters of another head ({min(foreign)}, this is {sha256[:HEAD]})")
    allowed = sorted({clusters, finest or clusters})
    if sorted(found) != list(range(len(rows))) or len(rows) not in allowed:
        ranges = ", or for each finest one from ".join(f"0 to {number - 1}" for number in allowed)
        raise SmoosegError(f"{path}: has {len(rows)} rows, and must have one for each cluster from {ranges}")
    if empty := [str(i) for i, name in sorted(found.items()) if not name]:
        raise SmoosegError(f"{path}: clusters without a name: {', '.join(empty)}")
    if set(found.values()) == {VOID_NAME}:
        raise SmoosegError(f"{path}: calls every cluster {VOID_NAME}; give one of them another name")
    return [found[i] for i in range(len(rows))]


def group_names(names: list[str]) -> tuple[list[str], list[int]]:
    """Classes that names of clusters make, and the number of each cluster's: those of one name are one class.

    Returns:
        Names in the order of the clusters, without void; for each cluster its class, :data:`VOID` for void.
    """
    classes = [name for name in dict.fromkeys(names) if name != VOID_NAME]
    ids = {name: i for i, name in enumerate(classes)} | {VOID_NAME: VOID}
    return classes, [ids[name] for name in names]
