"""What the values of somebody's label files mean: a table with a row for each id or colour."""

import csv
import re
from pathlib import Path

from ..errors import SmoosegError
from ..images.datasets.labelfiles import VOID_NAME

COLUMNS = "name, and id, colour (#RRGGBB) or r, g and b"
COLOUR = re.compile("#[0-9A-Fa-f]{6}")


def read_label_table(path: Path) -> tuple[list[str], dict[str, dict[str, list]]]:
    """Names of classes in the order of a table, and the ids and colours of each, as a data set's entry has them.

    Rows of one name are one class, and those called void are void. A legend.csv is such a table, and so are the colour
    tables that come with many data sets.

    Args:
        path: CSV with a header: name; id, or colour (#RRGGBB), or r, g and b, or ids and colours.

    Raises:
        SmoosegError: If the file is none, or a row says too little.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [
                {str(key).strip().lower(): str(value or "").strip() for key, value in row.items()}
                for row in csv.DictReader(file, skipinitialspace=True)
            ]
        ids, colours = dict[str, list](), dict[str, list]()
        for number, row in enumerate(rows, 2):
            name, colour = row["name"], colour_of(row)
            if not name or not (row.get("id") or colour):
                raise ValueError(f"line {number} lacks a name or a value")
            if row.get("id"):
                ids.setdefault(name, []).append(int(row["id"]))
            if colour:
                colours.setdefault(name, []).append(colour)
    except (KeyError, ValueError, csv.Error) as error:
        raise SmoosegError(f"{path}: is no table with the columns {COLUMNS} ({error})") from error
    names = [name for name in dict.fromkeys(row["name"] for row in rows) if name != VOID_NAME]
    if len(names) < 2:
        raise SmoosegError(f"{path}: names {len(names)} classes; there must be two, beside {VOID_NAME}")
    return names, {kind: said for kind, said in (("ids", ids), ("colours", colours)) if said}


def colour_of(row: dict[str, str]) -> str | None:
    """The colour in a row, as #RRGGBB; None where it has none.

    Raises:
        ValueError: If it is no colour.
    """
    if all(row.get(channel) for channel in "rgb"):
        parts = [int(row[channel]) for channel in "rgb"]
        if max(parts) > 255 or min(parts) < 0:
            raise ValueError(f"{parts} is no colour of 8 bits")
        return "#{:02X}{:02X}{:02X}".format(*parts)
    colour = row.get("colour") or row.get("color")
    if colour and not COLOUR.fullmatch(colour):
        raise ValueError(f"{colour} is no colour as #4682B4")
    return colour or None
