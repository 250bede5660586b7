"""What every data set layout answers: which images, which labels, which classes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import SmoosegError

VOID = 255  # label value of pixels that no score counts
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class Entry:
    """One image and, where there is one, its label; POSIX paths relative to the data set's root."""

    image: str
    label: str | None


class Dataset(ABC):
    """A layout on disk.

    Args:
        root: Folder that holds the data set.
        classes: Class names; class ``i`` is called ``classes[i]``.
        void: Raw label value that means "no class".
    """

    def __init__(self, root: str | Path, classes: list[str], void: int = VOID):
        self.root = Path(root)
        self.classes = list(classes)
        self.void = void

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

    def read_label(self, path: Path) -> np.ndarray:
        """Class ids of one label image.

        Returns:
            uint8 (height, width): class ids, :data:`VOID` where there is no class.

        Raises:
            SmoosegError: If the file does not decode, has several channels, or holds an unknown id.
        """
        try:
            with Image.open(path) as image:
                raw = np.array(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise SmoosegError(f"{path}: label does not decode ({error})") from error
        if raw.ndim != 2:
            raise SmoosegError(f"{path}: expected one channel of class ids, got shape {raw.shape}")
        return self.to_classes(raw, path)

    def to_classes(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """Map raw label values to class ids; a layout with its own id table overrides this."""
        unknown = np.setdiff1d(raw, [*range(len(self.classes)), self.void])
        if unknown.size:
            raise SmoosegError(
                f"{path}: label ids {unknown[:5].tolist()} are outside 0..{len(self.classes) - 1} "
                f"and are not the void value {self.void}"
            )
        return np.where(raw == self.void, VOID, raw).astype(np.uint8)

    def require(self, path: Path) -> Path:
        """Return ``path`` if it exists, else say what is missing."""
        if not path.exists():
            raise SmoosegError(
                f"{path} is missing: this data set's layout is described in the README "
                f"under 'Data sets'; set data_root to the folder that holds it"
            )
        return path
