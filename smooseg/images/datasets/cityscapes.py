"""Cityscapes: street scenes by city, with the 27 classes that unsupervised methods are scored on."""

from pathlib import Path

from .base import VOID, Dataset, Entry

IMAGE, LABEL = "_leftImg8bit.png", "_gtFine_labelIds.png"  # ends of file names
FIRST_ID = 7  # ids below are void; the licence plate's, -1, is 255 in the 8 bits of a label
NAMES = (
    "road, sidewalk, parking, rail track, building, wall, fence, guard rail, bridge, tunnel, pole, polegroup, "
    "traffic light, traffic sign, vegetation, terrain, sky, person, rider, car, truck, bus, caravan, trailer, "
    "train, motorcycle, bicycle"
)


class Cityscapes(Dataset):
    """``leftImg8bit/{split}/{city}/*_leftImg8bit.png`` and ``gtFine/{split}/{city}/*_gtFine_labelIds.png``."""

    CLASSES = tuple(NAMES.split(", "))
    CLASS_OF = (VOID,) * FIRST_ID + tuple(range(len(CLASSES)))

    def image_sources(self, split: str) -> list[Path]:
        return [self.root / "leftImg8bit" / split]

    def label_sources(self, split: str) -> list[Path]:
        return [self.root / "gtFine" / split]

    def entries(self, split: str) -> list[Entry]:
        found = self.pictures(self.root / "leftImg8bit" / split, IMAGE)
        images = [path.relative_to(self.root).as_posix() for path in found]
        return [Entry(image, self._label(image)) for image in images]

    def _label(self, image: str) -> str:
        return "gtFine" + image.removeprefix("leftImg8bit").removesuffix(IMAGE) + LABEL
