"""Data set layouts by name; the catalogue in config.yaml says which one a data set uses."""

from ...running.plugins import load_plugin, plugins
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

__all__ = ["LAYOUTS", "VOID", "Dataset", "Entry", "Folder", "find_layout", "layout_names", "open_dataset"]


def layout_names() -> list[str]:
    """Our layouts and those of other packages."""
    return [*LAYOUTS, *plugins("images.datasets")]


def find_layout(name: str) -> type[Dataset]:
    """A layout by its name.

    Raises:
        SmoosegError: If it is another package's and does not load.
    """
    return LAYOUTS[name] if name in LAYOUTS else load_plugin("images.datasets", name)


def open_dataset(settings: dict) -> Dataset:
    """Build the data set that a resolved entry of config.yaml describes

    Args:
        settings: layout, root and the layout's own settings; classes, void and labels where labels are to be read.

    Raises:
        SmoosegError: If the classes are not those of a layout that fixes them.
    """
    own = {key: settings[key] for key in ("labels", "settings") if settings.get(key)}  # which some layouts alone know
    return find_layout(settings["layout"])(
        settings["root"], settings.get("classes", []), settings.get("void", VOID), **own
    )
