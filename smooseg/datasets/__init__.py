"""Data set layouts by name; the catalogue in config.yaml says which one a data set uses."""

from .base import VOID, Dataset, Entry
from .camvid import CamVid
from .folder import Folder

LAYOUTS: dict[str, type[Dataset]] = {"camvid": CamVid, "folder": Folder}

__all__ = ["LAYOUTS", "VOID", "Dataset", "Entry", "open_dataset"]


def open_dataset(settings: dict) -> Dataset:
    """Build the data set that a resolved entry of config.yaml describes

    Args:
        settings: layout and root; classes and void where labels are to be read.
    """
    return LAYOUTS[settings["layout"]](settings["root"], settings.get("classes", []), settings.get("void", VOID))
