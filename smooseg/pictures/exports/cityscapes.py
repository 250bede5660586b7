"""Cityscapes' layout: below gtFine a PNG of ids and one of colours for each picture, and the legend of both."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import SmoosegError
from ...images.datasets import VOID
from ...running.files import write_whole
from ..output.tables import LEGEND
from .folder import MaskFile, MaskFolder

LIBRARY, FILES = None, ("gtFine", LEGEND)
SPLIT, CITY = "train", "pictures"  # folders: of all, and of pictures that lie in none themselves


def write(folder: MaskFolder, out: Path) -> None:
    """Write a folder's masks; ids are its own, and void is 255.

    Raises:
        SmoosegError: If two pictures would have one name, since the layout has one level of folders.
    """
    stems: dict[Path, MaskFile] = {}
    for mask in folder.masks:
        if (first := stems.setdefault(stem(mask), mask)) is not mask:
            raise SmoosegError(f"{mask.path}: would have the name of {first.path} there; rename one of the folders")
    colours = np.zeros((VOID + 1, 3), np.uint8)
    for i, colour in folder.colours.items():
        colours[i] = list(bytes.fromhex(colour.removeprefix("#")))
    for _, mask, ids in folder.read():
        place = out / FILES[0] / SPLIT / stem(mask)
        for kind, values in (("labelIds", ids), ("color", colours[ids])):
            with write_whole(place.with_name(f"{place.name}_gtFine_{kind}.png")) as aside:
                Image.fromarray(values).save(aside, "PNG")
    with write_whole(out / LEGEND) as aside:
        shutil.copyfile(folder.path / LEGEND, aside)


def stem(mask: MaskFile) -> Path:
    """City and name of a mask's picture."""
    return Path("_".join(mask.picture.parent.parts) or CITY, mask.picture.stem)
