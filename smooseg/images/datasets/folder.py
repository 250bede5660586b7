"""Any tree of images, with an optional parallel tree of label files of the same names."""

from pathlib import Path

from .base import Dataset, Entry
from .labelfiles import label_files


class Folder(Dataset):
    """``images/{split}/**`` and, optionally, ``labels/{split}/**`` with the same stems."""

    def image_sources(self, split: str) -> list[Path]:
        return [self.root / "images" / split]

    def label_sources(self, split: str) -> list[Path]:
        return [self.root / "labels" / split]

    def entries(self, split: str) -> list[Entry]:
        folder = self.root / "images" / split
        images, labels = self.pictures(folder), label_files(self.root / "labels" / split)
        found = [(image, labels.get(image.relative_to(folder).with_suffix(""))) for image in images]
        return [Entry(self._relative(image), self._relative(label) if label else None) for image, label in found]

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
