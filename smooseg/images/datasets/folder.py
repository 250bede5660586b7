"""Any tree of images, with an optional parallel tree of label files of the same names."""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from ...errors import SmoosegError
from .base import Dataset, Entry
from .labelfiles import label_files
from .splits import SPLIT, chosen_names

INSIDE = r"^(?!/)[^{}*?\[\]\\]+$"  # pattern of a path below the data set's folder
FILES = {
    "images": {
        "type": "string",
        "pattern": INSIDE,
        "default": "images",
        "description": "Folder of images, below the data set's.",
    },
    "labels": {
        "type": "string",
        "pattern": INSIDE,
        "default": "labels",
        "description": "Folder of label files, below the data set's.",
    },
    "image_end": {
        "type": "string",
        "default": "",
        "description": "End of images' names before the suffix that labels do not have; other images are left out.",
    },
    "label_end": {
        "type": "string",
        "default": "",
        "description": "End of labels' names before the suffix that images do not have; other labels are left out.",
    },
    "splits": {
        "type": "object",
        "default": {},
        "additionalProperties": SPLIT,
        "description": "Images of a split, by its name. Without any, a split is a folder of that name in both.",
    },
}


class Folder(Dataset):
    """``images/{split}/**`` and, optionally, ``labels/{split}/**`` with the same stems.

    The settings name other folders, ends of names, and splits of one folder.
    """

    schema: ClassVar[dict] = {"properties": FILES}

    def image_sources(self, split: str) -> list[Path]:
        chosen = self._split(split)
        return [self._folder("images", split), *([self.root / chosen["list"]] if chosen and chosen["list"] else [])]

    def label_sources(self, split: str) -> list[Path]:
        return [self._folder("labels", split)]

    def entries(self, split: str) -> list[Entry]:
        folder, chosen = self._folder("images", split), self._split(split)
        images = self._named(self.pictures(folder), folder, "image_end")
        if chosen:
            names = chosen_names([name.as_posix() for name, _ in images], self.root, self._said(chosen))
            images = [(name, path) for name, path in images if name.as_posix() in names]
        if not images:
            raise SmoosegError(f"{folder} holds no image of split {split}")
        place = self._folder("labels", split)
        labels = dict(self._named(label_files(place).values(), place, "label_end"))
        found = [(image, labels.get(name)) for name, image in images]
        return [Entry(self._relative(image), self._relative(label) if label else None) for image, label in found]

    def _split(self, split: str) -> dict | None:
        """What the settings say of a split; None where each is a folder of its own."""
        splits = self.settings.get("splits")
        if splits and split not in splits:
            raise SmoosegError(f"{self.root}: split {split!r} is none of {', '.join(splits)}")
        return splits[split] if splits else None

    def _said(self, chosen: dict) -> dict:
        """A split's choice, with what its list's names begin and end with beside a name."""
        return chosen | {"folder": self.settings["images"], "end": self.settings["image_end"]}

    def _folder(self, kind: str, split: str) -> Path:
        """Folder of a split's images or labels."""
        folder = self.root / self.settings.get(kind, kind)
        return folder if self._split(split) else folder / split

    def _named(self, paths: Iterable[Path], folder: Path, end: str) -> list[tuple[Path, Path]]:
        """Files after their paths in a folder, without suffix and without the end that the settings name."""
        end = self.settings.get(end, "")
        stems = [(path.relative_to(folder).with_suffix(""), path) for path in paths]
        return [(name.with_name(name.name[: -len(end) or None]), path) for name, path in stems if is_named(name, end)]

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def is_named(path: Path, end: str) -> bool:
    """Whether a file's name has an end and something before it."""
    return path.name.endswith(end) and path.name != end
