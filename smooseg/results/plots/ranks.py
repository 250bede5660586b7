"""Critical-difference figure: mean ranks, and bars over methods that do not differ."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..suite.ranks import LEVEL, Comparison
from .palette import method_colours

NOTHING = "nothing to compare: ranks need two methods or more that have scores on one set or more"
BAR_STEP = 0.035  # of the number of methods, between the bars of two groups


def plot_ranks(comparisons: dict[str, Comparison], path: Path) -> None:
    """A panel for each comparison: methods from the best mean rank down, and bars that join those that do not differ.

    Args:
        comparisons: By the title of the panel; none draws a sentence.
        path: PNG to write.
    """
    columns = max(1, min(2, len(comparisons)))
    lines = -(-max(1, len(comparisons)) // columns)
    methods = max((len(found.ranks) for found in comparisons.values()), default=1)
    figure = Figure((5.6 * columns, lines * (1.7 + 0.3 * methods)), layout="constrained", dpi=110)
    axes = figure.subplots(lines, columns, squeeze=False).flat
    for axis, (title, found) in zip(axes, comparisons.items(), strict=False):
        draw_ranks(axis, title, found)
    if not comparisons:
        axes[0].text(0.5, 0.5, NOTHING, ha="center", va="center", wrap=True)
        axes[0].axis("off")
    figure.savefig(path)


def draw_ranks(axis: Axes, title: str, found: Comparison) -> None:
    """One comparison: a dot for each method's mean rank, and a vertical bar for each group that does not differ."""
    values, methods = found.ranks.to_numpy(), len(found.ranks)
    rows = -np.arange(methods)
    axis.hlines(rows, 1, values, color="#BBBBBB", linewidth=1)
    axis.plot(values, rows, "o", color=method_colours(1)[0], markersize=7)
    step = BAR_STEP * methods
    places = dict(zip(found.ranks.index, rows, strict=True))
    for number, group in enumerate(found.groups):
        ends = [places[group[0]] + 0.2, places[group[-1]] - 0.2]
        axis.plot([methods + (number + 1) * step] * 2, ends, color="#D55E00", linewidth=4, solid_capstyle="butt")
    axis.set_yticks(rows, [f"{name}  {rank:.2f}" for name, rank in found.ranks.items()], fontsize=9)
    axis.set_ylim(-methods + 0.4, 0.6)
    axis.set_xlim(0.8, methods + (len(found.groups) + 1) * step)
    axis.set_xticks(np.arange(1, methods + 1))
    axis.set_xlabel("mean rank (1 is best)")
    axis.grid(axis="x", alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_title(f"{title}, {found.sets} data set{'s' if found.sets > 1 else ''}\n{verdict(found)}", fontsize=9)


def verdict(found: Comparison) -> str:
    """What the tests say, in one sentence."""
    apart = f"critical difference {found.difference:.2f} of ranks"
    p = "none, all are tied" if np.isnan(found.p) else f"= {found.p:.3f}" if found.p >= 0.001 else "< 0.001"
    friedman = f"Friedman p {p}"
    if found.undecidable:
        return f"{apart}: with so few sets,\nno two methods can differ significantly"
    if len(found.ranks) > 2 and not found.p < LEVEL:
        return f"{friedman}: no method differs significantly"
    return apart if np.isnan(found.p) else f"{friedman}; {apart}"
