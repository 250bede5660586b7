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


def plot_penalties(model: Model, features: Features, axes: Axes | None = None) -> Axes:
    """Distributions of the label penalty of pairs of patches, within and across images: a good head has two peaks.

    Args:
        model: A fitted one.
        features: Of its backbone.
        axes: Where to draw; new ones if None.
    """
    axes = axes if axes is not None else plt.subplots(figsize=(1.6 * INCHES, INCHES), layout="constrained")[1]
    draw_penalties(axes, penalty_rows(penalty_counts(model.module, features.store)))
    axes.set(title=f"{model.head}, {model.clusters} clusters", xlabel="label penalty δ of a pair of patches")
    axes.set_ylabel("% of pairs")
    return axes


def plot_segmentations(masks: Mask | Masks | dict[str, Masks], axes: Any = None) -> np.ndarray:
    """Images, and the masks of one or several heads beside them.

    Args:
        masks: Of the same images, by title where there are several.
        axes: (images, columns) matplotlib axes; new ones if None.

    Returns:
        The axes, (images, 1 + titles).

    Raises:
        SmoosegError: If there is nothing to draw, or the heads' images differ in number.
    """
    titled = masks if isinstance(masks, dict) else {"mask": masks}
    columns = {title: [one] if isinstance(one, Mask) else list(one) for title, one in titled.items()}
    numbers = {len(column) for column in columns.values()}
    if len(numbers) != 1 or not (rows := max(numbers)):
        raise SmoosegError(f"give masks of the same images, one at least; got {sorted(numbers)} of them")
    if axes is None:
        shape = (INCHES * (1 + len(columns)), INCHES * rows)
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
