"""Scores and label-free measures of a sweep: curves over one setting, heat maps over two."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...running.files import write_whole
from .palette import method_colours

SWEEP_PANELS = {
    "accuracy": "accuracy (%)",
    "miou": "mIoU (%)",
    "clusters_used": "clusters in use",
    "explained_variance": "variance explained by clusters",
    "bimodality_within": "bimodality of δ within images",
    "bimodality_across": "bimodality of δ across images",
    "cluster_entropy": "entropy of cluster use",
    "mirror_agreement": "agreement with mirror image",
}
CUTS = {
    "agreement": "agreement of trees (adjusted Rand)",
    "within": "neighbouring patches of one cluster",
    "between": "any two patches of one cluster",
    "smooth": "smoothness: neighbours above any two",
}


def plot_sweep(table: pd.DataFrame, varied: list[str], title: str, path: Path) -> None:
    """Scores and label-free measures over one setting as curves with standard deviations, over two as heat maps.

    Args:
        table: What :func:`smooseg.results.comparisons.sweep_table` gave.
        varied: The settings that have several values; beyond two, they are averaged over.
        title: Of the figure.
        path: PNG to write.
    """
    columns = len(SWEEP_PANELS) // 2
    figure = Figure((3.6 * columns, 6.4), layout="constrained", dpi=110)
    for axis, (column, label) in zip(figure.subplots(2, columns).flat, SWEEP_PANELS.items(), strict=True):
        if len(varied) > 1:
            draw_heat_map(axis, table.pivot_table(index=varied[0], columns=varied[1], values=column))
        else:
            groups = table.groupby(varied[0], dropna=False)[column]
            mean, positions = groups.mean(), range(groups.ngroups)
            deviation = groups.std().fillna(0)  # of one seed
            axis.errorbar(positions, mean, deviation, marker="o", capsize=3, color=method_colours(1)[0])
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


def plot_cuts(table: pd.DataFrame, path: Path) -> None:
    """What each number of clusters gains and loses: agreement of trees and smoothness.

    Args:
        table: What :func:`smooseg.heads.smooseg_plus.stability.cut_table` gave.
        path: PNG to write.
    """
    figure = Figure((6.4, 3.6), layout="constrained", dpi=110)
    axis, lines = figure.subplots(), dict(zip(CUTS, zip(method_colours(4), "osv^", strict=True), strict=True))
    for column, (colour, marker) in lines.items():
        axis.plot(table["clusters"], table[column], marker=marker, color=colour, label=CUTS[column])
    axis.set_xlabel("number of clusters")
    axis.set_ylim(0, 1.02)
    axis.locator_params(axis="x", integer=True)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    with write_whole(path) as aside:
        figure.savefig(aside, format="png")
