"""Scores of methods: with and without CRF, by class, and which class went to which cluster."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...evaluation.metrics import UNMATCHED
from .palette import method_colours

TOTALS = {"accuracy": "accuracy (%)", "miou": "mIoU (%)"}
POSTPROCESS = {"raw": "without CRF", "crf": "with CRF"}
LEAST_WRITTEN = 1  # percent; smaller shares are left to their shade


def score_rows(scores: pd.DataFrame, classes: pd.DataFrame, titles: dict[str, str]) -> pd.DataFrame:
    """Mean and standard deviation over seeds of what :func:`plot_scores` shows.

    Args:
        scores: What :func:`smooseg.results.tables.score_table` gave.
        classes: What :func:`smooseg.results.tables.class_table` gave.
        titles: Method by experiment; others are left out.

    Returns:
        Columns method, postprocess, score (accuracy, miou, or a class for its IoU), mean, sd (percent).
    """
    totals = scores.melt(["experiment", "postprocess"], list(TOTALS), "score", "percent")
    by_class = classes.rename(columns={"class": "score", "iou": "percent"})
    rows = pd.concat([totals, by_class], join="inner", ignore_index=True)
    rows = rows[rows["experiment"].isin(titles)].assign(method=rows["experiment"].map(titles))
    groups = rows.groupby(["method", "postprocess", "score"], sort=False)["percent"]
    return groups.agg(mean="mean", sd="std").reset_index()


def plot_scores(rows: pd.DataFrame, path: Path) -> None:
    """Accuracy and mIoU of each method with and without CRF, and IoU of each class.

    Args:
        rows: What :func:`score_rows` gave.
        path: PNG to write.
    """
    methods = list(rows["method"].unique())
    figure = Figure((10, 3.9 + 0.28 * len(methods)), layout="constrained", dpi=110)
    (above,), (below,) = figure.subfigures(2, 1, squeeze=False, height_ratios=[0.9 + 0.28 * len(methods), 3])
    colours = dict(zip(methods, method_colours(len(methods)), strict=True))
    for axis, (score, label) in zip(above.subplots(1, 2, sharey=True), TOTALS.items(), strict=True):
        draw_totals(axis, rows[rows["score"] == score], colours)
        axis.set_xlabel(label)
    above.axes[1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    draw_classes(below.subplots(), rows[~rows["score"].isin(TOTALS)], colours)
    figure.savefig(path)


def draw_totals(axis: Axes, rows: pd.DataFrame, colours: dict[str, np.ndarray]) -> None:
    """For each method a ring without CRF and a diamond with it; lines are standard deviations."""
    places = {method: -i for i, method in enumerate(colours)}
    for postprocess, (marker, fill, shift) in {"raw": ("o", "white", 0.14), "crf": ("D", "#222222", -0.14)}.items():
        chosen = rows[rows["postprocess"] == postprocess]
        style: dict = {"fmt": marker, "color": "#222222", "markerfacecolor": fill, "capsize": 2, "markersize": 6}
        if len(chosen):
            heights = chosen["method"].map(places) + shift
            axis.errorbar(chosen["mean"], heights, xerr=chosen["sd"], label=POSTPROCESS[postprocess], **style)
    axis.set_yticks(list(places.values()), list(places), fontsize=9)
    axis.set_ylim(-len(places) + 0.4, 0.6)
    axis.grid(axis="x", alpha=0.3)


def draw_classes(axis: Axes, rows: pd.DataFrame, colours: dict[str, np.ndarray]) -> None:
    """Bars of IoU by class, without CRF; a diamond is the same with CRF."""
    names = list(rows["score"].unique())
    width = 0.8 / len(colours)
    for i, (method, colour) in enumerate(colours.items()):
        by_kind = dict(list(rows[rows["method"] == method].set_index("score").groupby("postprocess")))
        places = np.arange(len(names)) - 0.4 + width * (i + 0.5)
        bars = by_kind["raw" if "raw" in by_kind else "crf"]["mean"].reindex(names)
        axis.bar(places, bars, width, color=colour, edgecolor="white", linewidth=0.5, label=method)
        if {"raw", "crf"} <= set(by_kind):
            label = POSTPROCESS["crf"] if i == len(colours) - 1 else None
            refined = by_kind["crf"]["mean"].reindex(names)
            axis.plot(places, refined, "D", color="#222222", mec="white", markersize=5, label=label)
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axis.set_ylabel("IoU (%)")
    axis.set_xlim(-0.6, len(names) - 0.4)
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def confusion_table(score: dict) -> pd.DataFrame:
    """Pixels by cluster and class; clusters in the order of their classes, those without one last.

    Args:
        score: What :func:`smooseg.evaluation.scoring.score_labels` gave.
    """
    classes, assignment = list(score["iou"]), score["assignment"]
    order = sorted(range(len(assignment)), key=lambda k: (assignment[k] == UNMATCHED, assignment[k]))
    names = [f"{k} → {classes[assignment[k]] if assignment[k] != UNMATCHED else 'none'}" for k in order]
    return pd.DataFrame(np.array(score["confusion"])[order], index=pd.Index(names, name="cluster"), columns=classes)


def plot_confusion(table: pd.DataFrame, title: str, path: Path) -> None:
    """Where the pixels of each class went, in percent of the class.

    Args:
        table: What :func:`confusion_table` gave.
        title: Of the figure.
        path: PNG to write.
    """
    shares = 100 * table / table.sum().clip(lower=1)
    rows, columns = shares.shape
    figure = Figure((2.6 + 0.42 * columns, 1.9 + 0.3 * rows), layout="constrained", dpi=110)
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (row, column), share in np.ndenumerate(shares.to_numpy()):
        if share >= LEAST_WRITTEN:
            colour = "white" if share > 55 else "black"
            axis.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=8, color=colour)
    axis.set_xticks(range(columns), shares.columns, rotation=45, ha="right", fontsize=9)
    axis.set_yticks(range(rows), shares.index, fontsize=9)
    axis.set_ylabel("cluster → its class")
    axis.set_title(title, fontsize=10)
    figure.colorbar(image, label="% of the class's pixels", shrink=0.8)
    figure.savefig(path)
