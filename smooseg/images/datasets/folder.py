"""Any tree of images, with an optional parallel tree of label PNGs of the same names."""

from pathlib import Path

from ...errors import SmoosegError
from .base import IMAGE_SUFFIXES, Dataset, Entry


class Folder(Dataset):
    """``images/{split}/**`` and, optionally, ``labels/{split}/**`` with the same stems, as PNG."""

    def image_sources(self, split: str) -> list[Path]:
        return [self.root / "images" / split]

    def label_sources(self, split: str) -> list[Path]:
        return [self.root / "labels" / split]

    def entries(self, split: str) -> list[Entry]:
        folder = self.require(self.root / "images" / split)
        images = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        if not images:
            raise SmoosegError(f"{folder} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
        return [Entry(self._relative(p), self._label(p.relative_to(folder), split)) for p in images]

    def _label(self, name: Path, split: str) -> str | None:
        path = self.root / "labels" / split / name.with_suffix(".png")
        return self._relative(path) if path.exists() else None

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
