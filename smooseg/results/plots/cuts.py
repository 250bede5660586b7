"""Scores over the number of clusters: one head cut into each, and k-means of each."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from .palette import method_colours

PANELS = {
    "accuracy": "accuracy (%)",
    "miou": "mIoU (%)",
    "many_to_one_accuracy": "accuracy, many to one (%)",
    "many_to_one_miou": "mIoU, many to one (%)",
}
MARKERS = "os"


def plot_cut_scores(table: pd.DataFrame, classes: int, chosen: int, title: str, path: Path) -> None:
    """A panel for each score.

    Args:
        table: Rows of :func:`smooseg.evaluation.cuts.score_cuts` and :func:`smooseg.evaluation.cuts.score_kmeans`.
        classes: Number of classes, marked.
        chosen: Number of clusters that is recommended without labels, marked.
        title: Of the figure.
        path: PNG to write.
    """
    figure = Figure((9, 6.4), layout="constrained", dpi=110)
    colours = method_colours(2)
    for axis, (column, label) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        for number, (method, part) in enumerate(table.groupby("method", sort=False)):
            axis.plot(part["clusters"], part[column], marker=MARKERS[number], ms=4, color=colours[number], label=method)
        axis.axvline(classes, color="black", lw=0.8, label="classes")
        axis.axvline(chosen, color="black", lw=0.8, ls="--", label="recommended")
        axis.set_xlabel("number of clusters")
        axis.set_title(label, fontsize=10)
        axis.set_ylim(0, 100)
        axis.locator_params(axis="x", integer=True)
        axis.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path)
