"""Data set layouts by name; the catalogue in config.yaml says which one a data set uses."""

from .base import VOID, Dataset, Entry
from .camvid import CamVid
from .cityscapes import Cityscapes
from .cocostuff27 import CocoStuff27
from .folder import Folder
from .potsdam3 import Potsdam3
from .raster import Rasters

LAYOUTS: dict[str, type[Dataset]] = {
    "camvid": CamVid,
    "cityscapes": Cityscapes,
    "cocostuff27": CocoStuff27,
    "folder": Folder,
    "potsdam3": Potsdam3,
    "raster": Rasters,
}

__all__ = ["LAYOUTS", "VOID", "Dataset", "Entry", "Folder", "Rasters", "open_dataset"]


def open_dataset(settings: dict) -> Dataset:
    """Build the data set that a resolved entry of config.yaml describes

    Args:
        settings: layout and root; bands of rasters; classes, void and labels where labels are to be read.

    Raises:
        SmoosegError: If the classes are not those of a layout that fixes them, or bands cannot be chosen so.
    """
    return LAYOUTS[settings["layout"]](
        settings["root"],
        settings.get("classes", []),
        settings.get("void", VOID),
        settings.get("labels"),
        settings.get("bands"),
    )
