"""What lies in a folder of masks: their classes, and whose masks they are."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ...errors import SmoosegError, raise_problems
from ...images.datasets import VOID
from ...images.datasets.labelfiles import colour_number, colour_text
from ...images.decoding import open_image
from ...running.progress import progress
from ..output.tables import LEGEND, SHARES, with_classes


@dataclass(frozen=True)
class MaskFile:
    """A mask.

    Args:
        path: Of the file.
        picture: Path of what it is of, relative to the folder of pictures.
        width, height: Of both (pixels).
    """

    path: Path
    picture: PurePosixPath
    width: int
    height: int

    def ids(self) -> np.ndarray:
        """Its ids, uint8 (height, width).

        Raises:
            SmoosegError: If it does not decode, is of another size, or no mask.
        """
        try:
            with open_image(self.path) as image:
                ids = np.array(image)
        except Exception as error:  # damage surfaces as whatever its bytes lead the decoder to
            raise SmoosegError(f"{self.path}: mask does not decode ({error})") from error
        if ids.shape != (self.height, self.width) or ids.dtype != np.uint8:
            raise SmoosegError(f"{self.path}: is no mask of {self.width}x{self.height} pixels, as {SHARES} says")
        return ids


class MaskFolder:
    """A folder that :func:`smooseg.pictures.segment.segment` wrote.

    Args:
        path: Of the folder.

    Raises:
        SmoosegError: If it is none.
    """

    def __init__(self, path: Path):
        self.path = path
        legend = self.rows(LEGEND, lambda row: (int(row["id"]), row["name"], colour_number(row["colour"])))
        self.names = {i: name for i, name, _ in legend if i != VOID}
        self.colours = {i: colour_text(colour) for i, _, colour in legend}

    def rows(self, name: str, read: Callable[[dict], Any]) -> list:
        """What a function makes of the rows of a table in the folder."""
        try:
            with open(self.path / name, newline="", encoding="utf-8") as file:
                table = csv.DictReader(file)
                table.fieldnames = with_classes([], table.fieldnames or [])  # a class can have a column's name
                return [read(row) for row in table]
        except (KeyError, ValueError, TypeError) as error:
            raise SmoosegError(f"{self.path / name}: is no table as smooseg writes it ({error})") from error
        except OSError as error:
            raise SmoosegError(
                f"{self.path / name}: cannot be read ({error.strerror}); give a folder that smooseg wrote masks to"
            ) from error

    def mask(self, row: dict[str, str]) -> MaskFile:
        """The mask that a row of shares means."""
        name = PurePosixPath(row["mask"])
        picture = name.with_suffix(Path(row["image"]).suffix)
        return MaskFile(self.path / name, picture, int(row["width"]), int(row["height"]))

    @cached_property
    def masks(self) -> list[MaskFile]:
        """Its masks, each decoded once.

        Raises:
            SmoosegError: Naming every mask that cannot be used.
        """
        found, problems = [], []
        for mask in progress(self.rows(SHARES, self.mask), unit="mask", desc="check"):
            try:
                if mask.picture.is_absolute() or ".." in mask.picture.parts:
                    raise SmoosegError(f"{mask.path}: lies outside the folder of masks")
                unknown = set(np.unique(mask.ids()).tolist()) - {VOID, *self.names}
                if unknown:
                    raise SmoosegError(f"{mask.path}: holds ids {sorted(unknown)}, which {LEGEND} does not name")
            except SmoosegError as error:
                problems.append(str(error))
            found.append(mask)
        raise_problems("These masks cannot be exported", problems)
        return found

    def read(self) -> Iterator[tuple[int, MaskFile, np.ndarray]]:
        """Its masks with their numbers, from 1, and ids."""
        for number, mask in enumerate(progress(self.masks, unit="mask", desc="export"), 1):
            yield number, mask, mask.ids()

    def parts(self, ids: np.ndarray) -> Iterator[tuple[int, str, np.ndarray]]:
        """Classes that occur in a mask: id, name, and where: bool (height, width)."""
        occurring = np.flatnonzero(np.bincount(ids.ravel(), minlength=VOID + 1))
        yield from ((i, self.names[i], ids == i) for i in occurring.tolist() if i != VOID)
