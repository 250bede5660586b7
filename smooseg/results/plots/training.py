"""How heads trained: the course of the loss, and the label penalty before and after."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

CURVES = {  # panels: title, and the columns of a history drawn in it
    "loss": ["loss"],
    "parts of the loss": ["data", "within", "across", "neighbour", "random"],
    "mean label penalty δ": ["delta_within", "delta_across"],
    "clusters in use": ["clusters"],
}
PAIRS = {"within": "#0072B2", "across": "#D55E00"}  # of patches; colours of Okabe and Ito
LINES = {"data": "#009E73", "neighbour": "#009E73", "random": "#D55E00"} | PAIRS
LINES |= {f"delta_{pairs}": colour for pairs, colour in PAIRS.items()}
PANEL_COLUMNS = 4


def read_histories(paths: list[str]) -> pd.DataFrame:
    """Histories ``.../{experiment}/{seed}/history.parquet`` below each other, with experiment and seed."""
    frames = [
        pd.read_parquet(path).assign(experiment=Path(path).parts[-3], seed=int(Path(path).parts[-2])) for path in paths
    ]
    return pd.concat(frames, ignore_index=True)


def plot_training(history: pd.DataFrame, title: str, path: Path) -> None:
    """The loss, its parts, the mean label penalties and the clusters in use over the steps, one line for each seed.

    Args:
        history: What :func:`read_histories` gave for one experiment.
        title: Of the figure.
        path: PNG to write.
    """
    panels = {name: [c for c in columns if c in history] for name, columns in CURVES.items()}
    panels = {name: columns for name, columns in panels.items() if columns}
    figure = Figure((10, 3), layout="constrained", dpi=110)
    tight = {"ncols": 3, "columnspacing": 0.8, "handlelength": 1, "handletextpad": 0.4}  # a legend's entries
    for axis, (name, columns) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for column in columns:
            for number, (_, run) in enumerate(history.groupby("seed")):
                label = column.removeprefix("delta_") if number == 0 else None
                colour = LINES.get(column, "#222222")
                axis.plot(run["step"], run[column], color=colour, linewidth=1.2, alpha=0.8, label=label)
        if len(columns) > 1:
            axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.25), frameon=False, **tight)
        if not name.endswith("loss"):
            axis.set_ylim(bottom=0)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("step", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path)


def read_penalties(paths: list[str], titles: dict[str, str], *, before: bool) -> pd.DataFrame:
    """Distributions of the label penalty from ``.../{experiment}/{seed}/measures.json``, mean over seeds.

    Args:
        paths: The files.
        titles: Panel by experiment.
        before: Whether the head as it was before training is a panel of its own, where it had clusters then.

    Returns:
        Columns panel, pairs (within or across images), delta (lower edge of the bin), percent (of the pairs),
        bimodality.
    """
    rows = []
    for path in map(Path, paths):
        measured = json.loads(path.read_text("utf-8"))
        title = titles[path.parts[-3]]
        states = {f"{title}, untrained": measured["start"]} if before and measured.get("start") else {}
        for panel, state in (states | {title: measured}).items():
            rows.append(penalty_rows(state).assign(panel=panel))
    groups = pd.concat(rows).groupby(["panel", "pairs", "delta"], sort=False)
    return groups[["percent", "bimodality"]].mean().reset_index()


def penalty_rows(state: dict) -> pd.DataFrame:
    """Columns pairs, delta, percent and bimodality of what was measured of one head."""
    frames = []
    for pairs in PAIRS:
        counts = np.array(state[f"penalties_{pairs}"])
        edges = np.linspace(0, 1, len(counts), endpoint=False).round(4)
        percent = 100 * counts / max(counts.sum(), 1)  # of one image there are no pairs across
        frame = pd.DataFrame({"delta": edges, "percent": percent})
        frames.append(frame.assign(pairs=pairs, bimodality=state[f"bimodality_{pairs}"]))
    return pd.concat(frames, ignore_index=True)


def plot_penalties(rows: pd.DataFrame, title: str, path: Path, columns: int = PANEL_COLUMNS) -> None:
    """A panel for each head: the distributions of the label penalty δ within and across images.

    Args:
        rows: What :func:`read_penalties` gave.
        title: Of the figure.
        path: PNG to write.
        columns: Panels beside each other.
    """
    panels = dict(list(rows.groupby("panel", sort=False)))
    columns = min(columns, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure((2.6 * columns + 0.4, 2.3 * lines + 0.6), layout="constrained", dpi=110)
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axis, (name, panel) in zip(axes.flat, panels.items(), strict=False):
        draw_penalties(axis, panel)
        axis.set_title(name, fontsize=9)
    axes[0, 0].set_ylim(0, 1.4 * rows["percent"].max())  # room for the legends
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    figure.suptitle(title, fontsize=11)
    figure.supxlabel("label penalty δ of a pair of patches: 0 same assignment, 1 none in common", fontsize=9)
    figure.supylabel("% of pairs", fontsize=9)
    figure.savefig(path)


def draw_penalties(axis: Axes, panel: pd.DataFrame) -> None:
    """One panel: within images filled, across images as a line; both bimodalities in the legend."""
    for pairs, colour in PAIRS.items():
        part = panel[panel["pairs"] == pairs]
        edges = [*part["delta"], 1.0]
        label = f"{pairs}: bimodality {part['bimodality'].iloc[0]:.2f}"
        axis.stairs(part["percent"], edges, color=colour, fill=pairs == "within", alpha=0.75, lw=1.5, label=label)
    axis.legend(fontsize=8, loc="upper center", framealpha=0.9)
    axis.tick_params(labelsize=8)
