"""What every data set layout answers: which images, which labels, which classes."""

import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...errors import SmoosegError, raise_problems
from ..finding import find_pictures
from .labelfiles import (
    SAY,
    VOID,
    classes_of_colours,
    colour_number,
    id_numbers,
    meanings,
    one_channel,
    read_values,
    translate,
)

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One image and, where there is one, its label; POSIX paths relative to the data set's root."""

    image: str
    label: str | None


def plain_names(listing: Path, names: dict[int, str]) -> list[str]:
    """Names that a list gives by line number, checked: a path could lead out of the data set's folder.

    Raises:
        SmoosegError: Naming the list and every line that is not a plain file name or repeats an earlier one.
    """
    first: dict[str, int] = {}
    problems = []
    for line, name in names.items():
        if name in {"", ".", ".."} or set(name) & {"/", "\\", "\0"}:
            problems.append(f"line {line}: {name!r} is not one")
        elif first.setdefault(name, line) != line:
            problems.append(f"line {line}: {name!r} is on line {first[name]} already")
    raise_problems(f"{listing}: each line must give a file name without its folder, and no name twice", problems)
    return list(names.values())


class Dataset(ABC):
    """A layout on disk.

    Args:
        root: Folder that holds the data set.
        classes: Class names; class ``i`` is called ``classes[i]``. A layout with :attr:`CLASSES` needs none.
        void: Raw label value that means "no class", where ``labels`` say nothing else of it.
        labels: What the values of label files mean where they are not class ids: lists of ids (or ranges, as 0-127) and
            of colours (#RRGGBB) by class name, or void.
        settings: The layout's own, as :attr:`schema` describes them, with every default filled in.

    Raises:
        SmoosegError: If the layout fixes its classes, and ``classes``, ``void`` or ``labels`` say otherwise, or labels
            contradict themselves.
    """

    schema: ClassVar[dict] = {}  # JSON schema of the layout's own settings
    CLASSES: tuple[str, ...] = ()  # class names, where the layout fixes them
    ALSO: tuple[str, ...] = ()  # suffixes of its images beyond those of pictures
    CLASS_OF: tuple[int, ...] = ()  # class of raw label values 0, 1, …, where they are not the class ids

    def __init__(
        self,
        root: str | Path,
        classes: list[str] | tuple[str, ...] = (),
        void: int = VOID,
        labels: dict[str, dict[str, list]] | None = None,
        settings: dict | None = None,
    ):
        self.root, self.settings = Path(root), settings or {}
        self.classes = list(classes or self.CLASSES)
        self.void = void
        if self.CLASSES and (tuple(self.classes) != self.CLASSES or void != VOID):
            raise SmoosegError(
                f"{self.root}: layout {type(self).__name__} has void {VOID} and the classes "
                f"{', '.join(self.CLASSES)}; got void {void} and {', '.join(self.classes)}"
            )
        labels = labels or {}
        self.ids = meanings(labels.get("ids", {}), self.classes, id_numbers)
        self.colours = meanings(labels.get("colours", {}), self.classes, lambda colour: [colour_number(colour)])
        if self.CLASSES and (self.ids or self.colours):
            raise SmoosegError(f"layout {type(self).__name__} knows what its labels mean; leave out labels")

    @abstractmethod
    def image_sources(self, split: str) -> list[Path]:
        """Files and folders the list of images depends on, for the workflow to watch."""

    @abstractmethod
    def label_sources(self, split: str) -> list[Path]:
        """Files and folders the labels depend on; only evaluation may name them."""

    def is_raster(self, path: Path) -> bool:
        """Whether an image is read through GDAL, in windows as the settings of layout ``raster`` say."""
        return False

    @abstractmethod
    def entries(self, split: str) -> list[Entry]:
        """Images of a split in a fixed order.

        Raises:
            SmoosegError: If the folder or list is missing or empty.
        """

    def find_unlabelled(self, split: str) -> list[str]:
        """Images of a split whose label is not there."""
        entries = self.entries(split)
        return [entry.image for entry in entries if not entry.label or not (self.root / entry.label).is_file()]

    def read_label(self, path: Path) -> np.ndarray:
        """Class ids of one label image.

        Returns:
            uint8 (height, width): class ids, :data:`VOID` where there is no class.

        Raises:
            SmoosegError: If the file is missing, does not decode, has several channels, or holds an unknown id.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SmoosegError(f"{path}: label cannot be read ({error.strerror})") from error
        raw = self.decode_label(path, data)
        return self.to_classes(raw, path) if raw.ndim == 2 else self.from_colours(raw, path)

    def decode_label(self, path: Path, data: bytes) -> np.ndarray:
        """Values of a label file's bytes: ids (height, width), or colours, uint8 (height, width, 3).

        Three equal channels are ids where no colour has a meaning. What a GeoTIFF calls nodata is void, unless the data
        set says what that id means. A layout whose labels are no images overrides this.
        """
        values, nodata = read_values(path, data, bool(self.colours) and not self.ids)
        values = values[..., :3] if self.colours and values.ndim == 3 and values.shape[2] > 2 else one_channel(values)
        if nodata is not None and nodata not in self.ids and values.ndim == 2:
            values = np.where(np.isnan(values) if np.isnan(nodata) else values == nodata, self.void, values)
        return values

    def to_classes(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """Map raw label values to class ids, uint8 of the same shape."""
        if self.colours and not self.ids:
            return self.from_colours(np.stack([raw] * 3, -1), path)
        class_of = self.ids or dict(enumerate(self.CLASS_OF or range(len(self.classes))))
        classes, unknown = translate(raw, {self.void: VOID} | class_of)
        if unknown:
            known = (
                f"those of labels: {', '.join(map(str, sorted(self.ids)))}" if self.ids else f"0..{len(class_of) - 1}"
            )
            raise SmoosegError(
                f"{path}: label ids {list(unknown)[:5]} are outside {known} and are not the void value {self.void}; "
                f"{SAY.format(kind='ids')}"
            )
        return classes

    def from_colours(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """Map colours, uint8 (height, width, 3), to class ids, uint8 (height, width)."""
        if not self.colours:
            raise SmoosegError(f"{path}: holds colours, not one channel of ids; {SAY.format(kind='colours')}")
        return classes_of_colours(raw, self.colours, path)

    def read_lines(self, listing: Path) -> dict[int, str]:
        """Lines of a UTF-8 list by their number, without blank ones and white space around them.

        Raises:
            SmoosegError: If the list is missing, cannot be read or lists nothing.
        """
        try:
            text = self.require(listing).read_text("utf-8-sig")  # some editors begin a file with a byte order mark
        except (OSError, ValueError) as error:
            raise SmoosegError(f"{listing}: list cannot be read ({error})") from error
        lines = {number: line.strip() for number, line in enumerate(text.split("\n"), 1) if line.strip()}
        if not lines:
            raise SmoosegError(f"{listing} lists no image")
        return lines

    def pictures(self, folder: Path, end: str = "") -> list[Path]:
        """Pictures at and below a folder whose names end so; what was left out is logged.

        A dead link counts: a data set without its picture is another one, and reading it says so.

        Raises:
            SmoosegError: If the folder is missing or holds none.
        """
        found = find_pictures(self.require(folder), dead=True, also=self.ALSO)
        pictures = [path for path in found.pictures if path.name.endswith(end)]
        if not pictures:
            wanted = f" (*{end})" if end else ""
            raise SmoosegError(f"{folder} holds no image{wanted}; {found.summary()}".removesuffix("; "))
        if found.left_out:
            LOG.info("%s: %s", folder, found.summary())
        return pictures

    def require(self, path: Path) -> Path:
        """Return ``path`` if it exists, else say what is missing."""
        if not path.exists():
            raise SmoosegError(
                f"{path} is missing: docs/reference/data-sets.md describes this data set's layout; "
                f"set data_root to the folder that holds it"
            )
        return path
