"""What every data set layout answers: which images, which labels, which classes."""

import io
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from ...errors import SmoosegError, raise_listed
from ..pictures import find_pictures
from ..sizes import require_room

VOID = 255  # label value of pixels that no score counts


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
    raise_listed(f"{listing}: each line must give a file name without its folder, and no name twice", problems)
    return list(names.values())


class Dataset(ABC):
    """A layout on disk.

    Args:
        root: Folder that holds the data set.
        classes: Class names; class ``i`` is called ``classes[i]``. A layout with :attr:`CLASSES` needs none.
        void: Raw label value that means "no class".
        settings: The layout's own, as :attr:`schema` describes them, with every default filled in.

    Raises:
        SmoosegError: If the layout fixes its classes, and ``classes`` or ``void`` say otherwise.
    """

    schema: ClassVar[dict] = {}  # JSON schema of the layout's own settings
    CLASSES: tuple[str, ...] = ()  # class names, where the layout fixes them
    CLASS_OF: tuple[int, ...] = ()  # class of raw label values 0, 1, …, where they are not the class ids

    def __init__(
        self,
        root: str | Path,
        classes: list[str] | tuple[str, ...] = (),
        void: int = VOID,
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

    @abstractmethod
    def image_sources(self, split: str) -> list[Path]:
        """Files and folders the list of images depends on, for the workflow to watch."""

    @abstractmethod
    def label_sources(self, split: str) -> list[Path]:
        """Files and folders the labels depend on; only evaluation may name them."""

    @abstractmethod
    def entries(self, split: str) -> list[Entry]:
        """Images of a split in a fixed order.

        Raises:
            SmoosegError: If the folder or list is missing or empty.
        """

    def unlabelled(self, split: str) -> list[str]:
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
        if raw.ndim != 2:
            raise SmoosegError(f"{path}: expected one channel of class ids, got shape {raw.shape}")
        return self.to_classes(raw, path)

    def decode_label(self, path: Path, data: bytes) -> np.ndarray:
        """Raw values of a label file's bytes; a layout whose labels are no images overrides this."""
        try:
            return np.array(require_room(Image.open(io.BytesIO(data))))
        except Exception as error:  # damage surfaces as whatever its bytes lead the decoder to
            raise SmoosegError(f"{path}: label does not decode ({error})") from error

    def to_classes(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """Map raw label values to class ids, uint8 of the same shape."""
        class_of = self.CLASS_OF or range(len(self.classes))
        unknown = np.setdiff1d(raw, [*range(len(class_of)), self.void])
        if unknown.size:
            raise SmoosegError(
                f"{path}: label ids {unknown[:5].tolist()} are outside 0..{len(class_of) - 1} "
                f"and are not the void value {self.void}"
            )
        table = np.full(256, VOID, np.uint8)
        table[: len(class_of)] = class_of
        return table[raw.astype(np.uint8)]

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
        found = find_pictures(self.require(folder), dead=True)
        pictures = [path for path in found.pictures if path.name.endswith(end)]
        if not pictures:
            wanted = f" (*{end})" if end else ""
            raise SmoosegError(f"{folder} holds no image{wanted}; {found.summary()}".removesuffix("; "))
        if found.left_out:
            logging.info("%s: %s", folder, found.summary())
        return pictures

    def require(self, path: Path) -> Path:
        """Return ``path`` if it exists, else say what is missing."""
        if not path.exists():
            raise SmoosegError(
                f"{path} is missing: this data set's layout is described in the README "
                f"under 'Data sets'; set data_root to the folder that holds it"
            )
        return path
