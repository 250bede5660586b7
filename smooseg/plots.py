"""Figures, drawn with matplotlib in colours that colour-blind readers can tell apart."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .datasets.base import VOID
from .imaging import read_views
from .metrics import UNMATCHED
from .store import Store

# Tol's bright and muted palettes: distinct under the common colour deficiencies
CLASS_COLOURS = [
    "#4477AA",
    "#EE6677",
    "#228833",
    "#CCBB44",
    "#66CCEE",
    "#AA3377",
    "#DDCC77",
    "#332288",
    "#44AA99",
    "#882255",
    "#999933",
    "#CC6677",
    "#117733",
    "#88CCEE",
    "#AA4499",
]
VOID_COLOUR, UNMATCHED_COLOUR = "#FFFFFF", "#BBBBBB"
SWEEP_PANELS = {
    "accuracy": "accuracy (%)",
    "miou": "mIoU (%)",
    "clusters_used": "clusters in use",
    "bimodality_within": "bimodality of δ within images",
    "cluster_entropy": "entropy of cluster use",
    "mirror_agreement": "agreement with mirror image",
}
PICTURE_INCHES = 2.2  # side of one picture of a grid


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
    """Class ids of a map of clusters; clusters without a class get the id before void's."""
    table = np.array([VOID - 1 if a == UNMATCHED else a for a in assignment], np.uint8)
    return table[clusters]


def spread(accuracies: list[float | None], number: int) -> list[int]:
    """Images evenly spaced over the quality range, best first: a rule, never a choice by hand."""
    order = [i for i in np.argsort([-1 if a is None else -a for a in accuracies]) if accuracies[i] is not None]
    return [order[round(i)] for i in np.linspace(0, len(order) - 1, min(number, len(order)))]


def plot_segmentations(
    columns: dict[str, list[np.ndarray]], row_names: list[str], classes: list[str], path: Path
) -> None:
    """A grid of images, labels and segmentations with a legend of class names.

    Args:
        columns: Title to pictures: uint8 (size, size, 3) as they are, uint8 (size, size) as class ids.
        row_names: Name of each row.
        classes: Class names.
        path: PNG to write.
    """
    palette, rows = class_palette(len(classes)), len(row_names)
    legend = 0.55 + 0.25 * -(-len(classes) // 6)
    figure = Figure(
        (PICTURE_INCHES * len(columns) + 0.3, PICTURE_INCHES * rows + legend), layout="constrained", dpi=110
    )
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for column, (title, pictures) in enumerate(columns.items()):
        axes[0, column].set_title(title, fontsize=10)
        for row, picture in enumerate(pictures):
            axis = axes[row, column]
            axis.imshow(picture if picture.ndim == 3 else palette[picture], interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
    for row, name in enumerate(row_names):
        axes[row, 0].set_ylabel(name, fontsize=8)
    patches = [
        Patch(facecolor=palette[i] / 255, edgecolor="black", linewidth=0.4, label=name)
        for i, name in enumerate(classes)
    ]
    patches.append(Patch(facecolor=VOID_COLOUR, edgecolor="black", linewidth=0.4, label="void (not scored)"))
    figure.legend(handles=patches, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    figure.savefig(path)


def segmentation_columns(
    manifest: pd.DataFrame,
    root: Path,
    labels: Store,
    maps: dict[str, Store],
    scores: dict[str, dict],
    images: list[int],
) -> dict[str, list[np.ndarray]]:
    """Pictures for :func:`plot_segmentations`: image, label, and each postprocessing in class ids.

    Args:
        manifest: Evaluation views.
        root: The data set's folder.
        labels: Class ids.
        maps: Cluster ids by postprocessing.
        scores: What :func:`smooseg.scoring.score_labels` gave, by postprocessing.
        images: Which images to show.
    """
    views, size, resample = manifest[~manifest["mirror"]], labels.shape[1], "bilinear"
    columns = {
        "image": [read_views(root, views.iloc[[i]], size, resample)[0] for i in images],
        "label": [labels.read(i, i + 1)[0] for i in images],
    }
    for name, store in maps.items():
        assignment = scores[name]["assignment"]
        columns[name] = [as_classes(store.read(i, i + 1)[0], assignment) for i in images]
    return columns


def plot_sweep(table: pd.DataFrame, varied: list[str], title: str, path: Path) -> None:
    """Scores and label-free measures over one setting as curves with standard deviations, over two as heat maps.

    Args:
        table: What :func:`smooseg.comparisons.sweep_table` gave.
        varied: The settings that have several values; beyond two, they are averaged over.
        title: Of the figure.
        path: PNG to write.
    """
    figure = Figure((4.2 * 3, 6.4), layout="constrained", dpi=110)
    for axis, (column, label) in zip(figure.subplots(2, 3).flat, SWEEP_PANELS.items(), strict=True):
        if len(varied) > 1:
            draw_heat_map(axis, table.pivot_table(index=varied[0], columns=varied[1], values=column))
        else:
            groups = table.groupby(varied[0], dropna=False)[column]
            mean, positions = groups.mean(), range(groups.ngroups)
            deviation = groups.std().fillna(0)  # of one seed
            axis.errorbar(positions, mean, deviation, marker="o", capsize=3, color=CLASS_COLOURS[0])
            axis.set_xticks(positions, map(str, mean.index), rotation=45)
            axis.set_xlabel(varied[0])
            axis.grid(alpha=0.3)
            axis.set_ylim(0, 1.1 * (mean + deviation).max() or 1)
        axis.set_title(label, fontsize=10)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path)


def draw_heat_map(axis, values: pd.DataFrame) -> None:
    """Values over two settings, each cell with its number; text is dark on light cells and light on dark ones."""
    axis.imshow(values, cmap="viridis", origin="lower", aspect="auto")
    axis.set_xticks(range(values.shape[1]), list(map(str, values.columns)))
    axis.set_yticks(range(values.shape[0]), list(map(str, values.index)))
    axis.set_xlabel(values.columns.name)
    axis.set_ylabel(values.index.name)
    middle = (values.to_numpy().max() + values.to_numpy().min()) / 2
    for (row, column), value in np.ndenumerate(values):
        colour = "black" if value > middle else "white"
        axis.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=8, color=colour)
