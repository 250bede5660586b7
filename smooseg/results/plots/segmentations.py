"""Images, labels and segmentations side by side, of views that a rule chooses."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...features.store import Store
from ...images.datasets.base import VOID
from ...images.imaging import read_views
from .palette import LEGEND_INCHES, NO_CLASS, as_classes, class_palette, class_patches

SHOWN = 5  # views of a figure: best, median, worst, and one between each
PICTURE_INCHES = 1.9  # side of one picture


def pick_by_quality(accuracies: list[float | None], number: int) -> list[int]:
    """Images evenly spaced over the quality range, best first: a rule, never a choice by hand."""
    order = [i for i in np.argsort([-1 if a is None else -a for a in accuracies]) if accuracies[i] is not None]
    return [order[round(i)] for i in np.linspace(0, len(order) - 1, min(number, len(order)))]


def rank_views(manifest: pd.DataFrame, scores: dict[str, dict]) -> pd.DataFrame:
    """Accuracy of every evaluation view in every segmentation.

    Args:
        manifest: Evaluation views.
        scores: What :func:`smooseg.evaluation.scoring.score_labels` gave, by segmentation.

    Returns:
        Columns rank, view, image, one of accuracies (percent) for each segmentation, and shown: whether the view is
        one of those evenly spaced over the ranking by the last segmentation.
    """
    images = manifest.loc[~manifest["mirror"], "image"].reset_index(drop=True)
    accuracies = {title: pd.Series(score["image_accuracy"], dtype=float) for title, score in scores.items()}
    chosen = pick_by_quality(list(scores.values())[-1]["image_accuracy"], SHOWN)
    table = pd.DataFrame({"view": images.index, "image": images, **accuracies, "shown": images.index.isin(chosen)})
    table = table.sort_values(list(scores)[-1], ascending=False, na_position="last", kind="stable")
    table.insert(0, "rank", range(1, len(table) + 1))
    return table


def segmentation_columns(
    manifest: pd.DataFrame,
    root: Path,
    labels: Store,
    maps: dict[str, Store],
    scores: dict[str, dict],
    images: list[int],
) -> dict[str, list[np.ndarray]]:
    """Pictures for :func:`plot_segmentations`: image, label, and each segmentation in class ids.

    Args:
        manifest: Evaluation views.
        root: The data set's folder.
        labels: Class ids.
        maps: Cluster ids by segmentation.
        scores: As for :func:`rank_views`.
        images: Which views to show.
    """
    views, size, resample = manifest[~manifest["mirror"]], labels.shape[1], "bilinear"
    columns = {
        "image": [read_views(root, views.iloc[[i]], size, resample)[0] for i in images],
        "label": [labels.read(i, i + 1)[0] for i in images],
    }
    for title, store in maps.items():
        assignment = scores[title]["assignment"]
        columns[title] = [as_classes(store.read(i, i + 1)[0], assignment) for i in images]
    return columns


def plot_segmentations(
    columns: dict[str, list[np.ndarray]], ranking: pd.DataFrame, classes: list[str], path: Path
) -> None:
    """A grid of images, labels and segmentations with a legend of class names.

    Args:
        columns: Title to pictures: uint8 (size, size, 3) as they are, uint8 (size, size) as class ids.
        ranking: The rows of :func:`rank_views` that are shown; each segmentation's accuracy stands below it.
        classes: Class names.
        path: PNG to write.
    """
    palette, rows = class_palette(len(classes)), len(ranking)
    ids = np.unique(np.concatenate([p.ravel() for pictures in columns.values() for p in pictures if p.ndim == 2]))
    patches = class_patches(classes, void=VOID in ids, unmatched=NO_CLASS in ids)
    width = PICTURE_INCHES * len(columns) + 0.3
    entries = int(width / LEGEND_INCHES)  # in a line of the legend
    height = (PICTURE_INCHES + 0.15) * rows + 0.6 + 0.2 * -(-len(patches) // entries)
    figure = Figure((width, height), layout="constrained", dpi=110)
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for column, (title, pictures) in enumerate(columns.items()):
        axes[0, column].set_title(title, fontsize=10)
        for axis, picture, view in zip(axes[:, column], pictures, ranking.to_dict("records"), strict=True):
            axis.imshow(picture if picture.ndim == 3 else palette[picture], interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            if column == 0:
                axis.set_ylabel(f"view {view['view']}, rank {view['rank']}", fontsize=8)
            if column > 1:
                axis.set_xlabel(f"{view[title]:.0f} %", fontsize=8, labelpad=2)
    figure.legend(handles=patches, loc="outside lower center", ncols=entries, fontsize=8, frameon=False)
    figure.savefig(path)
