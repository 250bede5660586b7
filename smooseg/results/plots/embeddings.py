"""t-SNE of features and embeddings. Labels colour the patches here, which is evaluation: no head sees them."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.manifold import TSNE

from ...evaluation.metrics import UNMATCHED
from ...features.store import Store
from ...heads import Head
from ...heads.linear import patch_shares
from .palette import LEGEND_INCHES, UNMATCHED_COLOUR, class_palette

VIEWS, PATCHES = 8, 1200  # of a panel; 1200 points take seconds
LABELLED = 0.5  # share of a patch's pixels that must have a class
MARKERS = "osD^vPX"  # differ for neighbouring class ids, so that colour is not all


def draw_patches(labels: Store, classes: int, side: int, seed: int) -> pd.DataFrame:
    """Labelled patches, drawn at random from views evenly spaced over the split.

    Args:
        labels: Class ids.
        classes: Number of classes.
        side: Patches along a side of a view.
        seed: Of the drawing.

    Returns:
        Columns view, patch, class (the majority's).
    """
    views = np.unique(np.linspace(0, labels.views - 1, VIEWS).round().astype(int))
    maps = torch.from_numpy(np.concatenate([labels.read(i, i + 1) for i in views]))
    shares = patch_shares(maps, classes, side)
    view, patch = np.nonzero(shares.sum(-1).numpy() >= LABELLED)
    table = pd.DataFrame({"view": views[view], "patch": patch, "class": shares.argmax(-1).numpy()[view, patch]})
    return table.sample(min(PATCHES, len(table)), random_state=seed).sort_values(["view", "patch"], ignore_index=True)


@torch.inference_mode()
def project_patches(
    panel: str,
    features: Store,
    labels: Store,
    classes: int,
    head: Head | None = None,
    assignment: list[int] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Patches in two dimensions: by their features, or by a head's embeddings together with its prototypes.

    Args:
        panel: Name of the result.
        features: Evaluation features, whose rows are views and their mirror images by turns.
        labels: Class ids of the same views.
        classes: Number of classes.
        head: Whose embeddings; None for the features themselves.
        assignment: Class of each cluster of the head.
        seed: Of the drawing and of t-SNE.

    Returns:
        Columns panel, view, patch (both -1 for prototypes), class (-1 for prototypes without one), x, y.
    """
    prefix = features.provenance.get("prefix", 0)
    table, rows = draw_patches(labels, classes, round((features.shape[1] - prefix) ** 0.5), seed), []
    for view, part in table.groupby("view"):
        tokens = torch.from_numpy(features.read(2 * view, 2 * view + 1))
        rows.append((tokens[:, prefix:].float() if head is None else head.embed(tokens))[0, part["patch"].tolist()])
    points = torch.cat(rows)
    if head is not None:
        points = torch.cat([points, head.raw_centres()])
        prototypes = pd.DataFrame({"view": -1, "patch": -1, "class": assignment})
        table = pd.concat([table, prototypes], ignore_index=True)
    tsne = TSNE(init="pca", perplexity=min(30, (len(points) - 1) / 3), random_state=seed)
    places = tsne.fit_transform(F.normalize(points, dim=-1).numpy())
    return table.assign(panel=panel, x=places[:, 0], y=places[:, 1])


def plot_embeddings(points: pd.DataFrame, classes: list[str], title: str, path: Path) -> None:
    """A panel for each space: patches in the colour and marker of their class, prototypes as stars.

    Args:
        points: What :func:`project_patches` gave, panels below each other.
        classes: Class names.
        title: Of the figure.
        path: PNG to write.
    """
    panels = dict(list(points.groupby("panel", sort=False)))
    width = max(3.4 * len(panels), 5) + 0.2
    figure = Figure((width, 4.4), layout="constrained", dpi=110)
    colours = dict(enumerate(class_palette(len(classes))[: len(classes)] / 255)) | {UNMATCHED: UNMATCHED_COLOUR}
    for axis, (name, panel) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for label, part in panel[panel["view"] >= 0].groupby("class"):
            axis.scatter(part["x"], part["y"], 9, color=colours[label], marker=MARKERS[label % len(MARKERS)], lw=0)
        stars = panel[panel["view"] < 0]
        axis.scatter(stars["x"], stars["y"], 190, [colours[i] for i in stars["class"]], marker="*", edgecolor="black")
        axis.set(xticks=[], yticks=[])
        axis.set_title(name, fontsize=10)
    figure.suptitle(title, fontsize=11)
    handles = [marker(MARKERS[i % len(MARKERS)], colours[i], name) for i, name in enumerate(classes)]
    if (points["view"] < 0).any():
        handles.append(marker("*", "white", "prototype"))
    columns = int(width / LEGEND_INCHES)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
    figure.savefig(path)


def marker(shape: str, colour, label: str) -> Line2D:
    """A legend entry."""
    return Line2D([], [], linestyle="", marker=shape, color=colour, mec="black", mew=0.4, markersize=7, label=label)
