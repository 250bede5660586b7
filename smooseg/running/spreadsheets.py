"""CSV tables that people give, as editors and spreadsheets save them."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import SmoosegError, list_some

SEPARATORS = ",;\t"  # which of them a spreadsheet writes depends on its language
STATED = re.compile(r'"?sep=(.)"?[;,\s]*', re.IGNORECASE)  # a first line that tells Excel the separator
WHOLE = re.compile(r"([+-]?\d+)([.,]0{1,2})?")  # 0.0 or 0,00, as spreadsheets write 0; 1.000 may be a thousand
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # how a file of Excel's "Unicode text" begins

Row = tuple[int, dict[str, str]]


def read_table(path: Path, needed: Sequence[str] = (), columns: str = "") -> list[Row]:
    """The rows of a table, each with its line in the file and its cells by column; empty rows are left out.

    Columns are separated by commas, semicolons or tabs. Their names are in small letters here, whatever the file says,
    and where two have one name, the first counts. Spaces around names and cells are removed.

    Args:
        path: UTF-8, or UTF-16 with a byte order mark.
        needed: Columns that must be there.
        columns: The columns in words, for the error; None takes ``needed``.

    Raises:
        SmoosegError: If it is no text, has another header, or a row has more cells than the header.
        OSError: If it cannot be read.
    """
    lines = parse_lines(path)
    header = [cell.lower() for cell in lines[0][1]] if lines else []
    if missing := [name for name in needed if name not in header]:
        found = f"its header is {list_some(list(map(repr, header)))}" if header else "it is empty"
        raise SmoosegError(
            f"{path}: is no table with the columns {columns or ' and '.join(needed)}: "
            f"there is no {' and no '.join(missing)} ({found})"
        )
    rows = []
    for number, cells in lines[1:]:
        if any(cells[len(header) :]):
            raise SmoosegError(f"{path}: line {number} has more cells than the header; put quotes around such a name")
        filled = cells[: len(header)] + [""] * (len(header) - len(cells))
        rows.append((number, dict(zip(reversed(header), reversed(filled), strict=True))))
    return rows


def parse_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Lines of a table that are not empty, each with its number: first the header, then the rows."""
    text = decode_text(path)
    first, _, rest = text.partition("\n")
    stated = STATED.fullmatch(first)
    separator = stated[1] if stated else likely_separator(text)
    try:
        reader = csv.reader(
            io.StringIO(rest if stated else text, newline=""), delimiter=separator, skipinitialspace=True
        )
        lines = [(reader.line_num + bool(stated), [cell.strip() for cell in cells]) for cells in reader]
    except (csv.Error, TypeError) as error:
        raise SmoosegError(f"{path}: is no CSV table ({error})") from error
    return [(number, cells) for number, cells in lines if any(cells)]


def decode_text(path: Path) -> str:
    """The text of a file."""
    data = path.read_bytes()
    try:
        return data.decode("utf-16" if data.startswith(UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise SmoosegError(f"{path}: is no UTF-8 text ({error}); save it as CSV in UTF-8") from error


def likely_separator(text: str) -> str:
    """The separator by which the first line that is not empty has the most columns; a comma where none has several."""
    header = next((line for line in text.splitlines() if line.strip(SEPARATORS + " ")), "")
    return max(SEPARATORS, key=lambda separator: len(next(csv.reader([header], delimiter=separator), [])))


def whole_number(cell: str) -> int:
    """The whole number in a cell, which a spreadsheet may have written as 0.0.

    Raises:
        ValueError: If it is none.
    """
    if match := WHOLE.fullmatch(cell):
        return int(match[1])
    raise ValueError(f"{cell!r} is no whole number")
