"""What the values of somebody's label files mean: a table with a row for each id or colour."""

import re
from pathlib import Path

from ..errors import SmoosegError
from ..images.datasets.labelfiles import VOID_NAME, plain_name
from ..running.spreadsheets import read_table, whole_number

COLUMNS = "name, and id, colour (#RRGGBB) or r, g and b"
COLOUR = re.compile("#?([0-9A-Fa-f]{6})")
CHANNELS = ("r", "red"), ("g", "green"), ("b", "blue")  # what their columns are called


def read_label_table(path: Path) -> tuple[list[str], dict[str, dict[str, list]]]:
    """Names of classes in the order of a table, and the ids and colours of each, as a data set's entry has them.

    Rows of one name are one class, and those called void, in any case, are void. A legend.csv is such a table, and so
    are the colour tables that come with many data sets.

    Args:
        path: CSV with a header: name; id, or colour (#RRGGBB), or r, g and b, or ids and colours; see
            :func:`smooseg.running.spreadsheets.read_table`.

    Raises:
        SmoosegError: If the file is none, or a row says too little.
    """
    rows = read_table(path, ("name",), COLUMNS)
    ids, colours = dict[str, list](), dict[str, list]()
    for line, row in rows:
        try:
            name, number, colour = plain_name(row["name"]), row.get("id"), colour_of(row)
            if not name or not (number or colour):
                raise ValueError("it lacks a name or a value")
            if number:
                ids.setdefault(name, []).append(whole_number(number))
            if colour:
                colours.setdefault(name, []).append(colour)
        except ValueError as error:
            raise SmoosegError(f"{path}: line {line} is no row of {COLUMNS} ({error})") from None
    names = [name for name in dict.fromkeys(plain_name(row["name"]) for _, row in rows) if name != VOID_NAME]
    if len(names) < 2:
        raise SmoosegError(f"{path}: names {len(names)} classes; there must be two, beside {VOID_NAME}")
    return names, {kind: said for kind, said in (("ids", ids), ("colours", colours)) if said}


def colour_of(row: dict[str, str]) -> str | None:
    """The colour in a row, as #RRGGBB; None where it has none.

    Raises:
        ValueError: If it is no colour.
    """
    cells = [row.get(short) or row.get(long) or "" for short, long in CHANNELS]
    if all(cells):
        parts = list(map(whole_number, cells))
        if max(parts) > 255 or min(parts) < 0:
            raise ValueError(f"{parts} is no colour of 8 bits")
        return "#{:02X}{:02X}{:02X}".format(*parts)
    colour = row.get("colour") or row.get("color")
    if not colour:
        return None
    if match := COLOUR.fullmatch(colour):
        return f"#{match[1]}"
    lost = "; spreadsheets take the zeros from 000000, so write #000000" if colour.isdecimal() else ""
    raise ValueError(f"{colour} is no colour as #4682B4{lost}")
