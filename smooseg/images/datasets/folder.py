"""Any tree of images, with an optional parallel tree of label PNGs of the same names."""

from pathlib import Path

from .base import Dataset, Entry


class Folder(Dataset):
    """``images/{split}/**`` and, optionally, ``labels/{split}/**`` with the same stems, as PNG."""

    def image_sources(self, split: str) -> list[Path]:
        return [self.root / "images" / split]

    def label_sources(self, split: str) -> list[Path]:
        return [self.root / "labels" / split]

    def entries(self, split: str) -> list[Entry]:
        folder = self.root / "images" / split
        images = self.pictures(folder)
        return [Entry(self._relative(p), self._label(p.relative_to(folder), split)) for p in images]

    def _label(self, name: Path, split: str) -> str | None:
        path = self.root / "labels" / split / name.with_suffix(".png")
        return self._relative(path) if path.exists() else None

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
