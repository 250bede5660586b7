"""Label files as people have them: where they lie, what values they hold, and which class a value means."""

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SmoosegError, list_some
from ...running.files import walk
from ..decoding import nodata_value, open_image
from ..finding import is_hidden
from ..gdal import quiet

VOID = 255  # label value of pixels that no score counts
VOID_NAME = "void"  # of values that mean no class, beside the classes' names
SUFFIXES = {".bmp", ".png", ".tif", ".tiff"}  # of formats that keep every value
MOST_IDS = 1 << 16  # in a range
MOST_NAMED = 5  # values that an error names
SAY = "say what it means in the data set's labels: {kind} (smooseg fit: --label-table), void too"


def label_files(folder: Path) -> dict[Path, Path]:
    """Label files at and below a folder, by their paths there without suffix.

    Raises:
        SmoosegError: If two have one name.
    """
    found = dict[Path, Path]()
    for path in sorted(walk(folder)):
        name = path.relative_to(folder)
        if name.suffix.lower() in SUFFIXES and not is_hidden(name):
            first = found.setdefault(name.with_suffix(""), path)
            if first != path:
                raise SmoosegError(f"{path}: is the label of the same image as {first.name}; keep one")
    return found


def read_values(path: Path, data: bytes, coloured: bool) -> tuple[np.ndarray, float | None]:
    """Values of a label file's bytes, (height, width) or (height, width, channels), and its nodata value.

    Args:
        path: Of the file.
        data: Its bytes.
        coloured: Whether the colours of a palette are wanted, not its indices.

    Raises:
        SmoosegError: If it does not decode.
    """
    try:
        with open_image(data) as image:
            return np.array(image.convert("RGB") if coloured else image), nodata_value(image)
    except Exception as error:  # damage surfaces as whatever its bytes lead the decoder to
        if path.suffix.lower() not in {".tif", ".tiff"}:
            raise SmoosegError(f"{path}: label does not decode ({error})") from error
        if not find_spec("rasterio"):
            raise SmoosegError(
                f"{path}: label does not decode ({error}); if it is a GeoTIFF, it needs rasterio: pip install rasterio"
            ) from error
        return read_geotiff(path, data)


def read_geotiff(path: Path, data: bytes) -> tuple[np.ndarray, float | None]:
    """What :func:`read_values` gives, through GDAL: of the layouts of a TIFF that Pillow does not read."""
    from rasterio.errors import RasterioError
    from rasterio.io import MemoryFile

    try:
        with quiet(), MemoryFile(data) as file, file.open(driver="GTiff") as raster:
            values = raster.read()
            return values[0] if len(values) == 1 else np.moveaxis(values, 0, -1), raster.nodata
    except RasterioError as error:
        raise SmoosegError(f"{path}: label does not decode ({error})") from error


def one_channel(values: np.ndarray) -> np.ndarray:
    """The first of several channels where they are all equal, apart from alpha; else red, green and blue."""
    if values.ndim == 2:
        return values
    values = values[..., :3] if values.shape[2] > 2 else values[..., :1]
    return values[..., 0] if (values == values[..., :1]).all() else values


def plain_name(name: str) -> str:
    """A name as somebody wrote it, without spaces around it; void is :data:`VOID_NAME`, in whatever letters."""
    name = name.strip()
    return VOID_NAME if name.lower() == VOID_NAME else name


def meanings(said: dict[str, list], classes: list[str], numbers: Callable[[Any], Iterable[int]]) -> dict[int, int]:
    """Class id, or :data:`VOID`, of each value that a data set's entry gives to a class or to void.

    Args:
        said: Values by name.
        classes: Class names.
        numbers: A value as one number or several.

    Raises:
        SmoosegError: If a name is that of no class, or a value has two.
    """
    known = {VOID_NAME: VOID} | {name: i for i, name in enumerate(classes)}
    found = dict[int, int]()
    for written, values in said.items():
        name = written if written in known else plain_name(written)
        if name not in known:
            raise SmoosegError(f"labels name {name!r}, which is none of the classes {', '.join(classes)}, nor void")
        for value in values:
            if any(found.setdefault(number, known[name]) != known[name] for number in numbers(value)):
                raise SmoosegError(f"labels give {value} to {name} and to another class; keep one")
    return found


def id_numbers(written: int | str) -> range:
    """The ids that an id or a range as 0-127 stands for, ends included.

    Raises:
        SmoosegError: If a range is none, or has more ids than 16 bits.
    """
    if not isinstance(written, str):
        return range(written, written + 1)
    first, _, last = written.partition("-")
    found = range(int(first), int(last) + 1)
    if not 0 < len(found) <= MOST_IDS:
        raise SmoosegError(f"labels: a range of ids must rise, by less than {MOST_IDS}; got {written}")
    return found


def colour_number(colour: str) -> int:
    """A colour, written #RRGGBB, as a number."""
    return int(colour.removeprefix("#"), 16)


def colour_text(number: int) -> str:
    """What :func:`colour_number` reads."""
    return f"#{number:06X}"


def translate(values: np.ndarray, class_of: dict[int, int]) -> tuple[np.ndarray, dict[float, int]]:
    """Classes of values, uint8 of the same shape, and how many pixels have each value that means none."""
    found, counts = np.unique(values, return_counts=True)
    table = np.array([class_of.get(value, VOID) for value in found.tolist()], np.uint8)
    pixels = dict(zip(found.tolist(), counts.tolist(), strict=True))
    return table[np.searchsorted(found, values)], {v: n for v, n in pixels.items() if v not in class_of}


def classes_of_colours(colours: np.ndarray, class_of: dict[int, int], path: Path) -> np.ndarray:
    """Classes of colours, uint8 (height, width).

    Args:
        colours: uint8 (height, width, 3).
        class_of: Class of each colour's number.
        path: Of the file, for the error.

    Raises:
        SmoosegError: If a colour means nothing: which, of how many pixels.
    """
    if colours.dtype != np.uint8:
        raise SmoosegError(f"{path}: colours of a label must have 8 bits, got {colours.dtype}")
    numbers = colours.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    classes, unknown = translate(numbers, class_of)
    if unknown:
        often = sorted(unknown, key=unknown.__getitem__, reverse=True)
        named = [f"{colour_text(int(number))} of {unknown[number]} pixels" for number in often]
        many = "; colours that nobody chose come from JPEG or smooth edges" if len(often) > MOST_NAMED else ""
        raise SmoosegError(
            f"{path}: {'colour' if len(named) == 1 else f'{len(named)} colours'} without a meaning: "
            f"{list_some(named[:MOST_NAMED])}{', …' if len(named) > MOST_NAMED else ''}; "
            f"{SAY.format(kind='colours')}{many}"
        )
    return classes
