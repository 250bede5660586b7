"""Colours of classes and methods."""

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from ...evaluation.metrics import UNMATCHED
from ...images.datasets.base import VOID

# Seven of Okabe and Ito, then colours added one by one, each as far as possible from all before it, from void and
# from unmatched as seen with normal and with colour-blind eyes (a test measures the distances)
CLASS_COLOURS = [
    *("#56B4E9", "#0072B2", "#009E73", "#E69F00", "#CC79A7", "#D55E00", "#F0E442", "#430B00", "#001690"),
    *("#7A3737", "#9B6FF4", "#90F4B1", "#B1217A", "#2C0B4E", "#2143B1", "#4E2C59", "#85592C", "#C8D3FF"),
    *("#642100", "#F4BC6F", "#85B17A", "#7A59DE", "#E97A37", "#D3FF90", "#7A90D3", "#906F90", "#A65959"),
]
VOID_COLOUR, UNMATCHED_COLOUR = "#FFFFFF", "#BBBBBB"
LEGEND_INCHES = 1.5  # width of an entry of a legend below a figure
NO_CLASS = VOID - 1  # id of pixels whose cluster no class was left for


def class_palette(classes: int) -> np.ndarray:
    """RGB of each class id: uint8 (256, 3); beyond the named colours, hues of a cyclic map."""
    palette = np.tile(np.array(to_rgb(UNMATCHED_COLOUR)), (256, 1))
    named = min(classes, len(CLASS_COLOURS))
    palette[:named] = [to_rgb(colour) for colour in CLASS_COLOURS[:named]]
    if classes > named:
        palette[named:classes] = matplotlib.colormaps["hsv"](np.linspace(0, 0.95, classes - named))[:, :3]
    palette[VOID] = to_rgb(VOID_COLOUR)
    return (255 * palette).round().astype(np.uint8)


def as_classes(clusters: np.ndarray, assignment: list[int]) -> np.ndarray:
    """Class ids of a map of clusters; clusters without a class get :data:`NO_CLASS`."""
    table = np.array([NO_CLASS if a == UNMATCHED else a for a in assignment], np.uint8)
    return table[clusters]


def class_patches(classes: list[str], *, void: bool = False, unmatched: bool = False) -> list[Patch]:
    """Legend entries of the classes, and of void and unmatched where they are to be seen."""
    colours = dict(zip(classes, class_palette(len(classes)) / 255, strict=False))
    if void:
        colours["void (not scored)"] = VOID_COLOUR
    if unmatched:
        colours["cluster without class"] = UNMATCHED_COLOUR
    return [Patch(facecolor=c, edgecolor="black", linewidth=0.4, label=name) for name, c in colours.items()]


def method_colours(methods: int) -> np.ndarray:
    """Colours of methods, from dark to light as all eyes see them: (methods, 4)."""
    return matplotlib.colormaps["cividis"](np.linspace(0.05, 0.9, max(methods, 2)))[:methods]
