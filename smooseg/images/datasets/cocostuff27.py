"""COCO-Stuff-27: the 182 classes of COCO-Stuff joined to 27, on curated lists of images."""

from pathlib import Path

from ...errors import SmoosegError
from .base import Dataset, Entry, plain_names

SPLITS = {  # folder and list; the published scores are on val
    "train": ("train2017", "Coco164kFull_Stuff_Coarse"),
    "train7": ("train2017", "Coco164kFull_Stuff_Coarse_7"),
    "val": ("val2017", "Coco164kFull_Stuff_Coarse_7"),
}
NAMES = (
    "electronic, appliance, food-thing, furniture-thing, indoor, kitchen, accessory, animal, outdoor, person, sports, "
    "vehicle, ceiling, floor, food-stuff, furniture-stuff, raw-material, textile, wall, window, building, ground, "
    "plant, sky, solid, structural, water"
)
THINGS = [(9, 1), (11, 8), (8, 6), (7, 10), (6, 8), (10, 10), (5, 8), (2, 10), (3, 10), (0, 6), (1, 6), (4, 8)]
STUFF = (  # coarse ids of fine ids 91 to 181; things, fine ids 0 to 90, are (coarse id, number of fine ids)
    "17 17 22 20 20 22 15 25 16 13 12 12 17 17 23 15 15 17 15 21 15 25 13 13 13 13 13 22 26 14 14 15 22 "
    "21 21 24 20 22 15 17 16 15 22 24 21 17 25 16 21 17 22 16 21 21 25 21 26 21 24 20 17 14 21 26 15 23 "
    "20 21 24 15 24 22 25 15 20 17 17 22 14 18 18 18 18 18 18 18 26 26 19 19 24"
)


class CocoStuff27(Dataset):
    """``images/{folder}/{id}.jpg`` and ``annotations/{folder}/{id}.png``, by the ids in ``curated/{folder}/*.txt``."""

    CLASSES = tuple(NAMES.split(", "))
    CLASS_OF = (*(coarse for coarse, number in THINGS for _ in range(number)), *map(int, STUFF.split()))

    def image_sources(self, split: str) -> list[Path]:
        folder, listing = self._places(split)
        return [listing, self.root / "images" / folder]

    def label_sources(self, split: str) -> list[Path]:
        return [self.root / "annotations" / self._places(split)[0]]

    def entries(self, split: str) -> list[Entry]:
        folder, listing = self._places(split)
        ids = plain_names(listing, self.read_lines(listing))
        return [Entry(f"images/{folder}/{name}.jpg", f"annotations/{folder}/{name}.png") for name in ids]

    def _places(self, split: str) -> tuple[str, Path]:
        """Name of a split's folders, and its list."""
        if split not in SPLITS:
            raise SmoosegError(f"{self.root}: split {split!r} is none of {', '.join(SPLITS)}")
        folder, listing = SPLITS[split]
        return folder, self.root / "curated" / folder / f"{listing}.txt"
