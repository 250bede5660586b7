"""Figures in a notebook: each call returns the axes that it drew on."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from ..errors import SmoosegError
from ..evaluation.measures import penalty_counts
from ..features.cached import Features
from ..results.plots.training import draw_penalties, penalty_rows
from .maps import Mask, Masks
from .model import Model

INCHES = 2.4  # side of a panel
TITLE_INCHES = 0.3  # above the first row


def plot_penalties(model: Model, features: Features, axes: Axes | None = None) -> Axes:
    """Draw how the label penalty of pairs of patches is distributed, within and across images.

    A good head has two peaks: pairs of one cluster near 0, and pairs of different clusters at larger penalties.

    Args:
        model: A fitted model.
        features: Features of its backbone.
        axes: matplotlib axes to draw on; None makes new ones.

    Returns:
        The axes.

    Raises:
        SmoosegError: If the model is not fitted yet.

    Example:
        >>> axes = smooseg.plot_penalties(model, features)
        >>> axes.figure.savefig("penalties.png")
    """
    axes = axes if axes is not None else plt.subplots(figsize=(1.6 * INCHES, INCHES), layout="constrained")[1]
    draw_penalties(axes, penalty_rows(penalty_counts(model.module, features.store)))
    axes.set(title=f"{model.head}, {model.module.clusters} clusters", xlabel="label penalty δ of a pair of patches")
    axes.set_ylabel("% of pairs")
    return axes


def plot_segmentations(masks: Mask | Masks | dict[str, Masks], axes: Any = None) -> np.ndarray:
    """Draw images, and beside each the masks of one head or of several heads.

    Args:
        masks: A mask or masks; or a dict with a title and masks of the same images for each head.
        axes: matplotlib axes, (images, 1 + titles); None makes new ones.

    Returns:
        The axes, (images, 1 + titles).

    Raises:
        SmoosegError: If there is nothing to draw, or the heads' images differ in number.

    Example:
        >>> axes = smooseg.plot_segmentations({"4 clusters": coarse, "8 clusters": fine})
        >>> axes[0, 0].figure.savefig("compared.png")
    """
    titled = masks if isinstance(masks, dict) else {"mask": masks}
    columns = {title: [one] if isinstance(one, Mask) else list(one) for title, one in titled.items()}
    numbers = {len(column) for column in columns.values()}
    if len(numbers) != 1 or not (rows := max(numbers)):
        raise SmoosegError(f"give masks of the same images, one at least; got {sorted(numbers)} of them")
    if axes is None:
        tallest = max(mask.shape[0] / mask.shape[1] for mask in next(iter(columns.values())))
        shape = (INCHES * (1 + len(columns)), INCHES * tallest * rows + TITLE_INCHES)
        axes = plt.subplots(rows, 1 + len(columns), figsize=shape, squeeze=False, layout="constrained")[1]
    axes = np.asarray(axes).reshape(rows, 1 + len(columns))
    for row, mask in enumerate(next(iter(columns.values()))):
        axes[row, 0].imshow(mask.image)
        axes[row, 0].set_ylabel(mask.name, fontsize=8)
    for number, (title, column) in enumerate({"image": [], **columns}.items()):
        axes[0, number].set_title(title, fontsize=10)
        for row, mask in enumerate(column):
            axes[row, number].imshow(mask.coloured(), interpolation="nearest")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    return axes
